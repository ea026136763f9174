/**
 * Kills daemon, shims, spare and clients, at every failpoint and then at random, and looks at what is left after each.
 *
 *     npm run crash                    200 random rounds from a seed of its own, which is printed
 *     npm run crash -- SEED ROUNDS     those of a seed
 */

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {failpointPlans, randomPlans} from './campaign.ts';
import {CrashStage} from './crash-stage.ts';
import {playRound} from './round.ts';

const [seed = Math.floor(Math.random() * 2 ** 32), rounds = 200] = process.argv.slice(2).map(Number);
console.log(`crash: seed ${seed}, ${rounds} rounds; again with: npm run crash -- ${seed} ${rounds}`);
const directory = await mkdtemp(path.join(tmpdir(), 'keelson-crash-'));
let failed = 0;
const logLines = 30;
try {
	await using stage = await CrashStage.open(path.join(directory, 'failpoint'));
	for (const plan of [...failpointPlans(), ...randomPlans(seed, rounds)]) {
		const began = performance.now();
		try {
			await playRound(stage, plan);
			console.log(`ok      ${JSON.stringify(plan)} ${Math.round(performance.now() - began)} ms`);
		} catch (error) {
			failed++;
			console.log(`FAILED  ${error instanceof Error ? error.message : String(error)}`);
			console.log((await stage.daemon.log()).split('\n').slice(-logLines).join('\n'));
			await stage.recover();
		}
	}
	const left = await stage.finish();
	console.log(left.length === 0 ? 'ok      nothing is left' : `FAILED  left over: ${left.join('; ')}`);
	failed += left.length;
} finally {
	await rm(directory, {recursive: true, force: true});
}
console.log(`crash: ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
