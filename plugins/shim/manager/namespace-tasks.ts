import type {Metadata} from '../../../contracts/metadata/metadata.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import {parseIdentifier} from '../../../contracts/oci/identifier.ts';
import type {CreateTask, ExecProcess, ProcessExit, ProcessInfo, ProcessKey, TaskMetric, Tasks} from '../../../contracts/task/task.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {compileFilters} from '../../../lib/filters/filters.ts';
import type {CallOptions} from '../../../lib/ttrpc/call.ts';
import {failpoint} from '../protocol/failpoint.ts';
import {fromStatusNumber} from '../protocol/status.ts';
import {fromTimestamp} from '../protocol/timestamp.ts';
import {createTask} from './create-task.ts';
import type {TaskClient} from './running-shim.ts';
import {isShimGone, withCode} from './shim-errors.ts';
import type {Task} from './task.ts';
import type {TaskWorld} from './task-world.ts';

/** The tasks of one namespace, each answered by its shim. Cheap to make. */
export class NamespaceTasks implements Tasks {
	readonly #world: TaskWorld;
	readonly #metadata: Metadata;
	readonly #namespace: string;

	constructor(world: TaskWorld, metadata: Metadata, namespace: string) {
		this.#world = world;
		this.#metadata = metadata;
		this.#namespace = namespace;
	}

	async create(request: CreateTask, signal?: AbortSignal): Promise<number> {
		const task = await createTask(this.#world, this.#metadata, this.#namespace, request, signal ?? new AbortController().signal);
		this.#world.watch(task);
		return task.pid;
	}

	async start({containerId, execId}: ProcessKey, signal?: AbortSignal): Promise<number> {
		// A shim that is killed at it may have started the process: its heir then says so.
		const {pid} = await this.#ask(containerId, signal, async (client, options) => withCode(client.start({id: containerId, execId}, options)));
		failpoint(execId === '' ? 'daemon.start.done' : 'daemon.exec.started');
		if (execId === '') {
			const task = this.#world.registry.get(this.#namespace, containerId);
			task.pid = pid;
			if (task.hasCheckpoint) {
				task.hasCheckpoint = false;
				await task.bundle.removeCheckpoint();
			}
		}
		return pid;
	}

	async delete(containerId: string, signal?: AbortSignal): Promise<ProcessExit> {
		const task = this.#world.registry.get(this.#namespace, containerId);
		await orAborted(task.recovering ?? Promise.resolve(), signal);
		if (task.leaving !== undefined) {
			await task.leaving;
			return this.delete(containerId, signal);
		}
		if (task.shim === undefined) {
			throw silent(containerId);
		}
		const deleted = Promise.withResolvers<void>();
		deleted.promise.catch(() => undefined);
		task.leaving = deleted.promise;
		try {
			const exit = await this.#deleteInShim(task, signal);
			failpoint('daemon.delete.shim');
			task.end(exit);
			await this.#world.forget(task);
			failpoint('daemon.delete.done');
			return exit;
		} catch (error) {
			task.leaving = undefined;
			if (isShimGone(error)) {
				await this.#world.bury(task);
				return await task.exited;
			}
			throw error;
		} finally {
			deleted.resolve();
		}
	}

	async deleteProcess({containerId, execId}: ProcessKey, signal?: AbortSignal): Promise<ProcessExit> {
		if (execId === '') {
			return this.delete(containerId, signal);
		}
		const {pid, exitStatus, exitedAt} = await this.#ask(containerId, signal, async (client, options) => withCode(client.delete({id: containerId, execId}, options)));
		return {pid, exitStatus, exitedAt: fromTimestamp(exitedAt) ?? new Date()};
	}

	async get(process: ProcessKey, signal?: AbortSignal): Promise<ProcessInfo> {
		return this.#info(this.#world.registry.get(this.#namespace, process.containerId), process.execId, signal);
	}

	async list(signal?: AbortSignal): Promise<readonly ProcessInfo[]> {
		const infos = await Promise.all(this.#world.registry.list(this.#namespace).map(async task => {
			try {
				return await this.#info(task, '', signal);
			} catch (error) {
				// It was deleted just now.
				if (isKeelsonError(error, 'NOT_FOUND')) {
					return undefined;
				}
				throw error;
			}
		}));
		return infos.filter(info => info !== undefined);
	}

	async kill({containerId, execId}: ProcessKey, signalNumber: number, all: boolean, signal?: AbortSignal): Promise<void> {
		await this.#ask(containerId, signal, async (client, options) => client.kill({id: containerId, execId, signal: signalNumber, all}, options));
	}

	async exec({containerId, execId, terminal, stdin, stdout, stderr, spec}: ExecProcess, signal?: AbortSignal): Promise<void> {
		parseIdentifier(execId, 'exec id');
		let attempts = 0;
		await this.#ask(containerId, signal, async (client, options) => {
			attempts++;
			try {
				await withCode(client.exec({id: containerId, execId, terminal, stdin, stdout, stderr, spec}, options));
			} catch (error) {
				// The shim that was killed at it has written it down.
				if (attempts === 1 || !isKeelsonError(error, 'ALREADY_EXISTS')) {
					throw error;
				}
			}
		});
	}

	async resizePty({containerId, execId}: ProcessKey, {width, height}: {readonly width: number; readonly height: number}, signal?: AbortSignal): Promise<void> {
		await this.#ask(containerId, signal, async (client, options) => client.resizePty({id: containerId, execId, width, height}, options));
	}

	async closeIo({containerId, execId}: ProcessKey, stdin: boolean, signal?: AbortSignal): Promise<void> {
		await this.#ask(containerId, signal, async (client, options) => client.closeIO({id: containerId, execId, stdin}, options));
	}

	async pause(containerId: string, signal?: AbortSignal): Promise<void> {
		await this.#ask(containerId, signal, async (client, options) => client.pause({id: containerId}, options));
	}

	async resume(containerId: string, signal?: AbortSignal): Promise<void> {
		await this.#ask(containerId, signal, async (client, options) => client.resume({id: containerId}, options));
	}

	async pids(containerId: string, signal?: AbortSignal): Promise<readonly {readonly pid: number; readonly info?: Any}[]> {
		const {processes} = await this.#ask(containerId, signal, async (client, options) => client.pids({id: containerId}, options));
		return processes.map(({pid, info}) => ({pid, ...(info === undefined ? {} : {info})}));
	}

	async checkpoint(containerId: string, path: string, checkpointOptions: Any | undefined, signal?: AbortSignal): Promise<void> {
		await this.#ask(containerId, signal, async (client, options) => client.checkpoint({id: containerId, path, options: checkpointOptions}, options));
	}

	async update(containerId: string, resources: Any | undefined, annotations: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void> {
		await this.#ask(containerId, signal, async (client, options) => client.update({id: containerId, resources, annotations}, options));
	}

	async metrics(filters: readonly string[], signal?: AbortSignal): Promise<readonly TaskMetric[]> {
		const matches = compileFilters(filters);
		const wanted = this.#world.registry.list(this.#namespace).filter(({id}) =>
			matches(([field]) => field === 'id' ? id : field === 'namespace' ? this.#namespace : undefined));
		const metrics = await Promise.all(wanted.map(async ({id}) => {
			try {
				const {stats} = await this.#ask(id, signal, async client => client.stats({id}, {timeoutMs: this.#world.deadlines.state, signal}));
				return stats === undefined ? undefined : {id, timestamp: new Date(), data: stats};
			} catch (error) {
				signal?.throwIfAborted();
				this.#world.log.debug('a task has no metrics', {namespace: this.#namespace, container: id, error});
				return undefined;
			}
		}));
		return metrics.filter(metric => metric !== undefined);
	}

	async wait({containerId, execId}: ProcessKey, signal?: AbortSignal): Promise<ProcessExit> {
		const task = this.#world.registry.get(this.#namespace, containerId);
		if (execId === '') {
			return orAborted(task.exited, signal);
		}
		try {
			const {exitStatus, exitedAt} = await this.#ask(containerId, signal, async client => client.wait({id: containerId, execId}, {signal}), {isPatient: true});
			return {pid: 0, exitStatus, exitedAt: fromTimestamp(exitedAt) ?? new Date()};
		} catch (error) {
			// With a shim that nobody takes the place of goes the exec; how it ended nobody knows.
			if (!isShimGone(error) || task.shim?.isClosed === false) {
				throw error;
			}
			const {exitedAt} = await orAborted(task.exited, signal);
			return {pid: 0, exitStatus: 255, exitedAt};
		}
	}

	async #info(task: Task, execId: string, signal: AbortSignal | undefined): Promise<ProcessInfo> {
		const unknown: ProcessInfo = {
			containerId: task.id, execId, pid: task.pid, status: 'unknown', stdin: '', stdout: '', stderr: '', terminal: false, exitStatus: 0,
		};
		if (execId === '' && task.exit !== undefined && task.stdio !== undefined) {
			// Nothing of it changes any more: the shim need not be asked.
			return {...unknown, ...task.stdio, ...task.exit, pid: task.pid, status: 'stopped'};
		}
		if (task.recovering !== undefined) {
			const late = AbortSignal.timeout(this.#world.deadlines.state);
			await orAborted(task.recovering, signal === undefined ? late : AbortSignal.any([signal, late])).catch(() => signal?.throwIfAborted());
		}
		if (task.shim === undefined) {
			return unknown;
		}
		try {
			const state = await this.#ask(task.id, signal, async client => client.state({id: task.id, execId}, {timeoutMs: this.#world.deadlines.state, signal}));
			const exitedAt = fromTimestamp(state.exitedAt);
			const {pid, stdin, stdout, stderr, terminal, exitStatus} = state;
			return {
				containerId: task.id, execId, pid, status: fromStatusNumber(state.status), stdin, stdout, stderr, terminal, exitStatus,
				...(exitedAt === undefined ? {} : {exitedAt}),
			};
		} catch (error) {
			signal?.throwIfAborted();
			if (isKeelsonError(error, 'DEADLINE_EXCEEDED') || isShimGone(error)) {
				return unknown;
			}
			throw error;
		}
	}

	async #deleteInShim(task: Task, signal: AbortSignal | undefined): Promise<ProcessExit> {
		try {
			const {pid, exitStatus, exitedAt} = await this.#ask(task.id, signal, async (client, options) => withCode(client.delete({id: task.id, execId: ''}, options)));
			return {pid, exitStatus, exitedAt: fromTimestamp(exitedAt) ?? new Date()};
		} catch (error) {
			// The shim has done so before, for a daemon that was killed before it could take the rest away.
			if (isKeelsonError(error, 'NOT_FOUND')) {
				return task.exit ?? {pid: task.pid, exitStatus: 255, exitedAt: new Date()};
			}
			throw error;
		}
	}

	/**
	 * Asks the shim of a task; the one that takes its place, when it dies meanwhile. Rejects with NOT_FOUND, UNAVAILABLE while there is nobody, and
	 * DEADLINE_EXCEEDED when the shim is in quarantine, or is put there meanwhile; not so a patient call, which goes on when the shim does.
	 */
	async #ask<T>(containerId: string, signal: AbortSignal | undefined, call: (client: TaskClient, options: CallOptions) => Promise<T>, {isPatient = false}: {readonly isPatient?: boolean} = {}): Promise<T> {
		const task = this.#world.registry.get(this.#namespace, containerId);
		await orAborted(task.recovering ?? Promise.resolve(), signal);
		const {shim} = task;
		if (shim === undefined) {
			throw silent(containerId);
		}
		const options = {timeoutMs: this.#world.deadlines.call, signal};
		try {
			return await (isPatient ? call(shim.task, options) : shim.pulse.guard(async () => call(shim.task, options)));
		} catch (error) {
			const heir = isShimGone(error) ? await orAborted(this.#world.succession.heirOf(task, shim), signal) : undefined;
			if (heir === undefined) {
				throw error;
			}
			return call(heir.task, options);
		}
	}
}

function silent(containerId: string): KeelsonError {
	return new KeelsonError('UNAVAILABLE', `the shim of task ${containerId} does not answer`);
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
	if (signal === undefined) {
		return promise;
	}
	const aborted = Promise.withResolvers<never>();
	const abort = (): void => aborted.reject(KeelsonError.from(signal.reason, 'CANCELLED'));
	signal.addEventListener('abort', abort, {once: true});
	if (signal.aborted) {
		abort();
	}
	try {
		return await Promise.race([promise, aborted.promise]);
	} finally {
		signal.removeEventListener('abort', abort);
	}
}
