import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {failpointPlans} from './campaign.ts';
import {CrashStage} from './crash-stage.ts';
import {playRound} from './round.ts';

test('whoever is killed at a step of a container\'s life: the others go on, exits are told once, and nothing is left', async t => {
	t.timeout(170_000);
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-crash-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	await using stage = await CrashStage.open(path.join(directory, 'failpoint'));
	for (const plan of failpointPlans()) {
		await t.notThrowsAsync(playRound(stage, plan));
	}
	t.deepEqual(await stage.finish(), []);
});
