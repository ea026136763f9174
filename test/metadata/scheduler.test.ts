import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {descriptorOf, put} from '../../contracts/metadata/metadata-story.suite.ts';
import {parseDuration} from '../../lib/duration/duration.ts';
import {schedulerConfig, type SchedulerConfig} from '../../plugins/metadata-sqlite/schedule/scheduler-config.ts';
import {CollectionScheduler} from '../../plugins/metadata-sqlite/schedule/scheduler.ts';
import {sqliteInMemory, strictLog, type House} from './sqlite-in-memory.ts';

function scheduled(t: ExecutionContext, house: House, config: Partial<SchedulerConfig> = {}): CollectionScheduler {
	const scheduler = new CollectionScheduler(house, schedulerConfig.parse(config), strictLog);
	t.teardown(async () => scheduler[Symbol.asyncDispose]());
	return scheduler;
}

async function until(holds: () => boolean): Promise<void> {
	const deadline = Date.now() + 30_000;
	while (!holds()) {
		if (Date.now() > deadline) {
			throw new Error('it did not come to be in half a minute');
		}
		await sleep(5);
	}
}

test('a collection comes soon after the start', async t => {
	await using house = sqliteInMemory();
	await put(house.scope({namespace: 'n'}), 'stray');
	const scheduler = scheduled(t, house, {startup_delay: '10ms'});
	await until(() => scheduler.last !== undefined);
	t.is(scheduler.last?.removedContent, 1);
	await scheduler[Symbol.asyncDispose]();
});

test('a deletion is followed by a collection', async t => {
	await using house = sqliteInMemory();
	const scope = house.scope({namespace: 'n'});
	await put(scope, 'text');
	await scope.images.create({name: 'i', labels: {}, target: descriptorOf('text')});
	const scheduler = scheduled(t, house, {startup_delay: '0s'});
	await until(() => scheduler.last !== undefined);
	t.is(scheduler.last?.removedContent, 0);
	await scope.images.delete('i');
	await until(() => scheduler.last?.removedContent === 1);
	await scheduler[Symbol.asyncDispose]();
});

test('a collection that somebody else asked for takes care of what was due', async t => {
	await using house = sqliteInMemory();
	const scope = house.scope({namespace: 'n'});
	const scheduler = scheduled(t, house, {startup_delay: '0s'});
	await until(() => scheduler.last !== undefined);
	await scope.leases.create({id: 'l', labels: {}});
	await scope.leases.delete('l', {sync: true});
	const digest = await put(scope, 'unreferenced');
	await sleep(400);
	t.is((await scope.content.info(digest)).size, 12);
	await scheduler[Symbol.asyncDispose]();
});

test('what expires is collected when its time has come, although nobody asks', async t => {
	await using house = sqliteInMemory();
	const {leases} = house.scope({namespace: 'n'});
	await leases.create({id: 'l', labels: {'containerd.io/gc.expire': new Date(Date.now() + 300).toISOString()}});
	const scheduler = scheduled(t, house, {startup_delay: '0s'});
	await until(() => scheduler.last?.removedLeases === 1);
	t.deepEqual(await leases.list(), []);
	await scheduler[Symbol.asyncDispose]();
});

test('nothing is collected once it is closed', async t => {
	await using house = sqliteInMemory();
	const scheduler = scheduled(t, house, {startup_delay: '20ms'});
	await scheduler[Symbol.asyncDispose]();
	await sleep(60);
	t.is(scheduler.last, undefined);
});

test('durations are Go\'s', t => {
	t.deepEqual(['0', '0s', '100ms', '1h30m', '1.5s', '2m', '5', '-1s', 's', ''].map(text => parseDuration(text)), [
		0, 0, 100, 5_400_000, 1500, 120_000, undefined, undefined, undefined, undefined,
	]);
	t.throws(() => schedulerConfig.parse({startup_delay: 'soon'}), {message: /expected a duration/});
});
