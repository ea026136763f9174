import {isKeelsonError} from '../../../kernel/errors.ts';
import {Bundle} from './bundle.ts';
import {LogPipe} from './log-pipe.ts';
import {isShimGone} from './shim-errors.ts';
import {Task} from './task.ts';
import type {TaskWorld} from './task-world.ts';

/**
 * Takes up the tasks of an earlier daemon: all are known when this resolves, and shown as `unknown` until their shims answer, which each does by
 * itself, or not, within its deadline. `done` resolves when every one has been decided.
 */
export async function recoverTasks(world: TaskWorld): Promise<{readonly done: Promise<void>}> {
	const tasks: Task[] = [];
	for (const bundle of await Bundle.list(world.place)) {
		const task = new Task(bundle, await world.networks.find(bundle.namespace, bundle.id));
		world.registry.add(task);
		tasks.push(task);
	}
	const all = tasks.map(async task => recover(world, task).catch((error: unknown) => {
		world.log.error('a task could not be recovered', {namespace: task.namespace, container: task.id, error});
	}));
	return {done: Promise.all(all).then(() => undefined)};
}

async function recover(world: TaskWorld, task: Task): Promise<void> {
	const {bundle} = task;
	const [address, binary] = await Promise.all([bundle.readAddress(), bundle.readShimBinary()]);
	if (address === undefined || binary === undefined) {
		// The daemon ended in the middle of a create, before there was a shim to speak of.
		await world.bury(task);
		return;
	}
	task.logPipe = await LogPipe.open(bundle.path, world.log.with({namespace: task.namespace, container: task.id}));
	const {load, state} = world.deadlines;
	try {
		const isBorrowed = await bundle.readSandbox() !== undefined;
		const isShared = !isBorrowed && binary === world.search.own;
		const shim = await world.pool.adopt(world.program(binary), bundle, address, {isShared, isBorrowed, signal: AbortSignal.timeout(load)});
		const {pid} = await shim.task.state({id: task.id, execId: ''}, {timeoutMs: Math.max(load, state)});
		task.pid = pid;
		task.shim = shim;
		world.watch(task);
		world.log.debug('task recovered', {namespace: task.namespace, container: task.id, pid});
	} catch (error) {
		if (isShimGone(error) || isKeelsonError(error, 'NOT_FOUND')) {
			await world.bury(task);
			return;
		}
		// It hangs: it stays as it is, shown as unknown, until somebody ends it or the daemon starts again.
		world.log.warn('the shim of a task does not answer', {namespace: task.namespace, container: task.id, error});
	}
}
