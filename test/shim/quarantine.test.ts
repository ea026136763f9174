import anyTest, {type TestFn} from 'ava';
import {KeelsonError} from '../../kernel/errors.ts';
import {ShimMetrics} from '../../plugins/shim/manager/shim-metrics.ts';
import {ShimPulse} from '../../plugins/shim/manager/shim-pulse.ts';
import {until} from '../helpers/until.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;
const init = (containerId: string): {containerId: string; execId: string} => ({containerId, execId: ''});

async function running(stage: ShimStage): Promise<string> {
	const containerId = await stage.container(['/bin/sleep', '100']);
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, containerId});
	await tasks.start(init(containerId));
	return containerId;
}

async function ended(stage: ShimStage, id: string): Promise<number> {
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.kill(init(id), 9, false);
	const {exitStatus} = await tasks.wait(init(id));
	await tasks.delete(id);
	return exitStatus;
}

test('a shim that is stopped keeps nobody: its tasks are unknown, the next container goes elsewhere, and all goes on when it does', async t => {
	await using stage = await ShimStage.open({timeouts: {'io.containerd.timeout.shim.load': '4s', 'io.containerd.timeout.task.state': '2s'}});
	const tasks = stage.manager.tasks(stage.namespace);
	const held = await running(stage);
	const stopped = await stage.shimOf(held);
	process.kill(stopped, 'SIGSTOP');
	try {
		// Longer than a shim counts as just heard of.
		await new Promise(resolve => setTimeout(resolve, 1200));
		const free = await running(stage);
		t.not(await stage.shimOf(free), stopped);
		t.is((await tasks.get(init(held))).status, 'unknown');
		await until('the quarantine', async () => {
			const began = performance.now();
			await t.throwsAsync(tasks.kill(init(held), 10, false), {code: 'DEADLINE_EXCEEDED'});
			return performance.now() - began < 1000;
		});
		// On a busy machine not the first time: what waits for the shim does never.
		await until('answers at once', async () => {
			const began = performance.now();
			t.is((await tasks.get(init(held))).status, 'unknown');
			t.like(await tasks.get(init(free)), {status: 'running'});
			t.is((await tasks.list()).length, 2);
			const [family] = await new ShimMetrics(stage.manager).collect(AbortSignal.timeout(10_000));
			t.deepEqual([...family?.samples ?? []].map(({labels, value}) => [...labels.flat(), value]), [['state', 'quarantined', 1], ['state', 'flooding', 0], ['state', 'healthy', 1]]);
			await t.throwsAsync(tasks.pids(held), {code: 'DEADLINE_EXCEEDED', message: /quarantine/});
			return performance.now() - began < 1500;
		});
		t.is(await ended(stage, free), 137);
	} finally {
		process.kill(stopped, 'SIGCONT');
	}
	await until('it to answer again', async () => (await tasks.get(init(held))).status === 'running');
	t.is(await ended(stage, held), 137);
});

test('a call that a shim is stopped at ends soon, and not with its own deadline', async t => {
	await using stage = await ShimStage.open({timeouts: {'io.containerd.timeout.shim.load': '1s'}});
	const tasks = stage.manager.tasks(stage.namespace);
	const id = await running(stage);
	const shim = await stage.shimOf(id);
	process.kill(shim, 'SIGSTOP');
	const began = performance.now();
	try {
		await t.throwsAsync(tasks.pids(id), {code: 'DEADLINE_EXCEEDED'});
	} finally {
		process.kill(shim, 'SIGCONT');
	}
	t.true(performance.now() - began < 30_000);
	await until('it to answer again', async () => (await tasks.get(init(id))).status === 'running');
	t.is(await ended(stage, id), 137);
});

test('a daemon that finds a stopped shim knows its others at once, and its own when it goes on', async t => {
	await using stage = await ShimStage.open({containersPerShim: 1, timeouts: {'io.containerd.timeout.shim.load': '4s', 'io.containerd.timeout.task.state': '2s'}});
	const [held, free] = [await running(stage), await running(stage)];
	const stopped = await stage.shimOf(held);
	await stage.manager[Symbol.asyncDispose]();
	process.kill(stopped, 'SIGSTOP');
	try {
		await stage.openManager();
		const tasks = stage.manager.tasks(stage.namespace);
		await until('the other to be known', async () => (await tasks.get(init(free))).status === 'running');
		await stage.manager.recovered;
		t.is((await tasks.get(init(held))).status, 'unknown');
	} finally {
		process.kill(stopped, 'SIGCONT');
	}
	const tasks = stage.manager.tasks(stage.namespace);
	await until('it to be known', async () => (await tasks.get(init(held))).status === 'running');
	t.is(await ended(stage, held), 137);
	t.is(await ended(stage, free), 137);
});

test('quarantine begins with silence after a question, and ends with an answer', async t => {
	const gone = Promise.withResolvers<void>();
	const told: boolean[] = [];
	let isDeaf = false;
	// The pulse's own timers keep no process alive, as a connection does.
	const alive = setInterval(() => undefined, 1000);
	const pulse = new ShimPulse({
		silenceMs: 50,
		closed: gone.promise,
		told: isQuarantined => told.push(isQuarantined),
		async ping(timeoutMs) {
			if (isDeaf) {
				await new Promise(resolve => setTimeout(resolve, timeoutMs));
				throw new KeelsonError('DEADLINE_EXCEEDED', 'late');
			}
			throw new KeelsonError('NOT_FOUND', 'an answer, too');
		},
	});
	t.is(await pulse.guard(async () => 7), 7);
	isDeaf = true;
	await t.throwsAsync(pulse.guard(async () => new Promise(() => undefined)), {code: 'DEADLINE_EXCEEDED', message: /quarantine/});
	await t.throwsAsync(pulse.guard(async () => 7), {code: 'DEADLINE_EXCEEDED'});
	t.false(await pulse.answers());
	isDeaf = false;
	await pulse.answersAgain();
	await until('the end of quarantine', () => told.length === 2);
	t.is(await pulse.guard(async () => 7), 7);
	t.deepEqual(told, [true, false]);
	gone.resolve();
	clearInterval(alive);
});
