import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {randomPlans} from './campaign.ts';
import {CrashStage} from './crash-stage.ts';
import {playRound} from './round.ts';

const rounds = 20;

test('twenty kills at random times, of daemon, shim, spare and clients, lose nothing and leave nothing', async t => {
	t.timeout(170_000);
	const seed = Math.floor(Math.random() * 2 ** 32);
	t.log(`seed ${seed}; again with: npm run crash -- ${seed} ${rounds}`);
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-crash-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	await using stage = await CrashStage.open(path.join(directory, 'failpoint'));
	for (const plan of randomPlans(seed, rounds)) {
		await t.notThrowsAsync(playRound(stage, plan), `seed ${seed}`);
	}
	t.deepEqual(await stage.finish(), []);
});
