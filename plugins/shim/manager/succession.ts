import {isKeelsonError} from '../../../kernel/errors.ts';
import type {ShimAddress} from './bundle.ts';
import type {RunningShim} from './running-shim.ts';
import {isShimGone} from './shim-errors.ts';
import type {ShimProgram} from './shim-program.ts';
import type {Task} from './task.ts';
import type {TaskWorld} from './task-world.ts';

/** A shim that does not answer any more, or not this daemon. */
export interface LostShim {
	readonly program: ShimProgram;
	readonly namespace: string;
	readonly address: ShimAddress;
	readonly isShared: boolean;
}

interface Run {
	readonly tasks: readonly Task[];
	readonly work: Promise<void>;
}

/**
 * What becomes of tasks whose shim is gone: where it was one of ours the spare takes it over, at the same address and with all that it held of
 * them, and they go on; otherwise they are buried.
 */
export class Succession {
	readonly #world: TaskWorld;
	readonly #running = new Map<string, Run>();

	constructor(world: TaskWorld) {
		this.#world = world;
	}

	/** Resolves when every task has a shim again, hangs, or is buried. At work for one address once at a time. */
	async begin(lost: LostShim, tasks: readonly Task[]): Promise<void> {
		const key = lost.address.address;
		const running = this.#running.get(key);
		if (running === undefined) {
			const work = this.#succeed(lost, tasks).finally(() => this.#running.delete(key));
			this.#running.set(key, {tasks, work});
			return work;
		}
		const others = tasks.filter(task => !running.tasks.includes(task));
		await running.work.catch((error: unknown) => {
			if (others.length === 0) {
				throw error;
			}
		});
		if (others.length > 0) {
			await this.begin(lost, others);
		}
	}

	/** The same, for a shim whose connection has ended: for all tasks at its address, since several connections may lead there. */
	async of(shim: RunningShim): Promise<void> {
		const {namespace, address: {address}} = shim;
		const tasks = this.#world.registry.list(namespace).filter(task => task.shim?.address.address === address && task.shim.isClosed);
		if (tasks.length > 0) {
			await this.begin(shim, tasks);
		}
	}

	/** The same, for a shim that a sandbox has of its own, whether or not containers are in it. */
	async ofSandbox(lost: LostShim): Promise<void> {
		const {namespace, address: {address}} = lost;
		await this.begin(lost, this.#world.registry.list(namespace).filter(task => task.shim?.address.address === address && task.shim.isClosed));
	}

	/** Resolves with who answers for a task whose shim has just failed to; undefined when nobody else does. */
	async heirOf(task: Task, failed: RunningShim): Promise<RunningShim | undefined> {
		if (!failed.isClosed) {
			return undefined;
		}
		if (task.shim === failed) {
			await this.of(failed);
		}
		return task.shim === failed || task.shim?.isClosed === true ? undefined : task.shim;
	}

	async #succeed(lost: LostShim, tasks: readonly Task[]): Promise<void> {
		const {log, pool, deadlines} = this.#world;
		const {namespace, address, isShared, program} = lost;
		try {
			await this.#revive(lost, tasks);
			const signal = AbortSignal.timeout(deadlines.load);
			await Promise.all(tasks.map(async task => {
				const isBorrowed = await task.bundle.readSandbox() !== undefined;
				await this.#move(task, await pool.adopt(program, task.bundle, address, {isShared, isBorrowed, signal}));
			}));
		} catch (error) {
			if (!isShimGone(error) && !isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
			log.warn('a shim is gone, and nobody takes its place', {namespace, address: address.address, error});
			await Promise.all(tasks.map(async task => this.#bury(task)));
		}
	}

	/** Resolves when somebody answers at the address. */
	async #revive(lost: LostShim, tasks: readonly Task[]): Promise<void> {
		const {pool, log, deadlines} = this.#world;
		try {
			// It may live, and only the connection be lost.
			await pool.probe(lost.address, AbortSignal.timeout(deadlines.load));
		} catch (error) {
			if (!isShimGone(error) && !isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
			const containers = tasks.map(({id, bundle}) => ({id, bundle: bundle.path}));
			const socketPath = lost.address.address.replace(/^unix:\/\//, '');
			const sandboxes = await this.#world.sandboxesAt(lost.namespace, lost.address);
			if (await pool.inherit(lost.program, {namespace: lost.namespace, socketPath, containers, sandboxes})) {
				log.warn('a shim was killed: the spare has taken its place', {namespace: lost.namespace, containers: containers.length, sandboxes: sandboxes.length});
				return;
			}
			throw error;
		}
	}

	async #move(task: Task, shim: RunningShim): Promise<void> {
		const {state, load} = this.#world.deadlines;
		try {
			const {pid} = await shim.task.state({id: task.id, execId: ''}, {timeoutMs: Math.max(load, state)});
			task.pid = pid;
			task.shim = shim;
			this.#world.watch(task);
		} catch (error) {
			if (isKeelsonError(error, 'NOT_FOUND') || isShimGone(error)) {
				await this.#bury(task);
				return;
			}
			throw error;
		}
	}

	// One that is being deleted is the deleter's.
	async #bury(task: Task): Promise<void> {
		if (task.leaving === undefined) {
			await this.#world.bury(task).catch((error: unknown) => {
				this.#world.log.error('a task without a shim could not be taken away', {namespace: task.namespace, container: task.id, error});
			});
		}
	}
}
