import {setImmediate as turn} from 'node:timers/promises';
import {isKeelsonError} from '../../../kernel/errors.ts';
import {Bundle} from './bundle.ts';
import {LogPipe} from './log-pipe.ts';
import {isShimGone} from './shim-errors.ts';
import type {RunningShim} from './running-shim.ts';
import type {LostShim} from './succession.ts';
import {Task} from './task.ts';
import type {TaskWorld} from './task-world.ts';

/** So many are begun in one turn of the event loop, which has clients to answer. */
const begunAtOnce = 16;

/**
 * Takes up the tasks of an earlier daemon: all are known when this resolves. Once `begin` has, their shims are asked, and each answers by itself, or
 * not, within its deadline. `done` resolves when every one has been decided.
 */
export async function recoverTasks(world: TaskWorld, {begin, signal}: {readonly begin: Promise<void>; readonly signal: AbortSignal}): Promise<{readonly done: Promise<void>}> {
	const tasks: Task[] = [];
	const networkOf = await world.networks.found();
	for (const bundle of await Bundle.list(world.place)) {
		const task = new Task(bundle, networkOf(bundle.namespace, bundle.id));
		world.registry.add(task);
		tasks.push(task);
	}
	return {done: recoverAll(world, tasks, {begin, signal})};
}

async function recoverAll(world: TaskWorld, tasks: readonly Task[], {begin, signal}: {readonly begin: Promise<void>; readonly signal: AbortSignal}): Promise<void> {
	const decided = tasks.map(task => {
		const {promise, resolve} = Promise.withResolvers<void>();
		task.recovering = promise;
		return (): void => {
			task.recovering = undefined;
			resolve();
		};
	});
	try {
		await begin;
		const lost = new Map<string, Lost>();
		const asked: Promise<void>[] = [];
		// None waits for another: those of a shim that hangs must not keep the others.
		for (const [at, task] of tasks.entries()) {
			signal.throwIfAborted();
			asked.push((async () => {
				const outcome = await recover(world, task, {lost, signal}).catch(failed(world, task));
				if (outcome !== 'lost') {
					decided[at]?.();
				}
			})());
			if (at % begunAtOnce === begunAtOnce - 1) {
				await turn();
			}
		}
		await Promise.all(asked);
		await Promise.all([...lost.values()].map(async ({shim, tasks: own}) => world.succession.begin(shim, own).catch((error: unknown) => {
			own.forEach(task => failed(world, task)(error));
		})));
	} catch (error) {
		if (!signal.aborted) {
			throw error;
		}
	} finally {
		decided.forEach(decide => decide());
	}
}

function failed(world: TaskWorld, {namespace, id}: Task): (error: unknown) => void {
	return error => world.log.error('a task could not be recovered', {namespace, container: id, error});
}

interface Lost {
	readonly shim: LostShim;
	readonly tasks: Task[];
}

/** Lost: its shim is gone, and it has been put with the others of that shim. */
async function recover(world: TaskWorld, task: Task, {lost, signal}: {readonly lost: Map<string, Lost>; readonly signal: AbortSignal}): Promise<'decided' | 'lost'> {
	const {bundle, namespace, id} = task;
	const [address, binary] = await Promise.all([bundle.readAddress(), bundle.readShimBinary()]);
	if (address === undefined || binary === undefined) {
		// The daemon ended in the middle of a create, before there was a shim to speak of.
		await world.bury(task);
		return 'decided';
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
			return 'lost';
		} else {
			// It hangs: the task is shown as unknown until it answers, or is gone.
			world.log.warn('the shim of a task does not answer', {namespace, container: id, error});
			void hanging?.pulse.answersAgain().then(async () => recoverAll(world, [task], {begin: Promise.resolve(), signal}));
		}
	}
	return 'decided';
}
