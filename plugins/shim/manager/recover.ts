import {isKeelsonError} from '../../../kernel/errors.ts';
import {Bundle} from './bundle.ts';
import {LogPipe} from './log-pipe.ts';
import {isShimGone} from './shim-errors.ts';
import type {RunningShim} from './running-shim.ts';
import type {LostShim} from './succession.ts';
import {Task} from './task.ts';
import type {TaskWorld} from './task-world.ts';

/**
 * Takes up the tasks of an earlier daemon: all are known when this resolves, and shown as `unknown` until their shims answer, which each does by
 * itself, or not, within its deadline. `done` resolves when every one has been decided.
 */
export async function recoverTasks(world: TaskWorld): Promise<{readonly done: Promise<void>}> {
	const tasks: Task[] = [];
	const networkOf = await world.networks.found();
	for (const bundle of await Bundle.list(world.place)) {
		const task = new Task(bundle, networkOf(bundle.namespace, bundle.id));
		world.registry.add(task);
		tasks.push(task);
	}
	return {done: recoverAll(world, tasks)};
}

async function recoverAll(world: TaskWorld, tasks: readonly Task[]): Promise<void> {
	const failed = (task: Task) => (error: unknown): void => {
		world.log.error('a task could not be recovered', {namespace: task.namespace, container: task.id, error});
	};
	const lost = new Map<string, Lost>();
	// All at once: those of a shim that hangs must not keep the others.
	await Promise.all(tasks.map(async task => recover(world, task, lost).catch(failed(task))));
	await Promise.all([...lost.values()].map(async ({shim, tasks: own}) => world.succession.begin(shim, own).catch((error: unknown) => {
		own.forEach(task => failed(task)(error));
	})));
}

interface Lost {
	readonly shim: LostShim;
	readonly tasks: Task[];
}

async function recover(world: TaskWorld, task: Task, lost: Map<string, Lost>): Promise<void> {
	const {bundle, namespace, id} = task;
	const [address, binary] = await Promise.all([bundle.readAddress(), bundle.readShimBinary()]);
	if (address === undefined || binary === undefined) {
		// The daemon ended in the middle of a create, before there was a shim to speak of.
		await world.bury(task);
		return;
	}
	task.logPipe ??= await LogPipe.open(bundle.path, world.log.with({namespace, container: id}));
	const {load, state} = world.deadlines;
	const isBorrowed = await bundle.readSandbox() !== undefined;
	const isShared = !isBorrowed && binary === world.search.own;
	const program = world.program(binary);
	let hanging: RunningShim | undefined;
	try {
		const shim = await world.pool.adopt(program, bundle, address, {isShared, isBorrowed, signal: AbortSignal.timeout(load)});
		hanging = shim;
		const {pid} = await shim.pulse.guard(async () => shim.task.state({id, execId: ''}, {timeoutMs: Math.max(load, state)}));
		task.pid = pid;
		task.shim = shim;
		world.watch(task);
		world.log.debug('task recovered', {namespace, container: id, pid});
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND') && task.shim === undefined && world.pool.has(address)) {
			// The shim is there and knows nothing of it.
			await world.bury(task);
		} else if (isShimGone(error) || isKeelsonError(error, 'NOT_FOUND')) {
			const group = lost.get(address.address) ?? {shim: {program, namespace, address, isShared}, tasks: []};
			group.tasks.push(task);
			lost.set(address.address, group);
		} else {
			// It hangs: the task is shown as unknown until it answers, or is gone.
			world.log.warn('the shim of a task does not answer', {namespace, container: id, error});
			void hanging?.pulse.answersAgain().then(async () => recoverAll(world, [task]));
		}
	}
}
