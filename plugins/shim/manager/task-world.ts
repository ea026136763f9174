import type {Differ} from '../../../contracts/diff/diff.ts';
import type {EventBus, EventValues} from '../../../contracts/event/event.ts';
import type {SandboxController} from '../../../contracts/sandbox/sandbox.ts';
import type {ProcessExit} from '../../../contracts/task/task.ts';
import {DeleteResponse} from '../../../api/gen/runtime/task/v3/shim.ts';
import type {Logger} from '../../../kernel/log.ts';
import {isTold, keepsRecords, recordedPid, recordedProcess, recordTold} from '../protocol/process-record.ts';
import {topicOf, type TaskEventType} from '../protocol/task-events.ts';
import {fromTimestamp} from '../protocol/timestamp.ts';
import {throwFirst, type BundlePlace, type ShimAddress} from './bundle.ts';
import {removeDeadSocket} from './dead-socket.ts';
import type {Deadlines} from './deadlines.ts';
import type {RuntimeSearch} from './runtime-binary.ts';
import {isShimGone} from './shim-errors.ts';
import type {ShimPool} from './shim-pool.ts';
import type {ShimProgram} from './shim-program.ts';
import {Succession} from './succession.ts';
import type {Task} from './task.ts';
import type {TaskMounts} from './task-mounts.ts';
import type {TaskNetworks} from './task-networks.ts';
import type {TaskRegistry} from './task-registry.ts';
import type {Inheritance} from './warm-spare.ts';

export interface TaskWorldParts {
	readonly place: BundlePlace;
	readonly registry: TaskRegistry;
	readonly pool: ShimPool;
	readonly networks: TaskNetworks;
	readonly mounts: TaskMounts;
	readonly events: EventBus;
	/** Unpacks checkpoints; undefined where none is loaded. */
	readonly differ: Differ | undefined;
	readonly search: RuntimeSearch;
	/** By name. */
	readonly sandboxes: ReadonlyMap<string, SandboxController>;
	/** Those whose shim answers, or did, at an address. */
	readonly sandboxesAt: (namespace: string, address: ShimAddress) => Promise<Inheritance['containers']>;
	readonly program: (binary: string) => ShimProgram;
	readonly deadlines: Deadlines;
	readonly log: Logger;
}

/** What all tasks stand on, and how each of them leaves. */
export class TaskWorld {
	readonly place: BundlePlace;
	readonly registry: TaskRegistry;
	readonly pool: ShimPool;
	readonly networks: TaskNetworks;
	readonly mounts: TaskMounts;
	readonly differ: Differ | undefined;
	readonly search: RuntimeSearch;
	readonly sandboxes: ReadonlyMap<string, SandboxController>;
	readonly sandboxesAt: TaskWorldParts['sandboxesAt'];
	readonly program: (binary: string) => ShimProgram;
	readonly deadlines: Deadlines;
	readonly log: Logger;
	readonly succession: Succession;
	readonly #events: EventBus;

	constructor(parts: TaskWorldParts) {
		this.place = parts.place;
		this.registry = parts.registry;
		this.pool = parts.pool;
		this.networks = parts.networks;
		this.mounts = parts.mounts;
		this.differ = parts.differ;
		this.search = parts.search;
		this.sandboxes = parts.sandboxes;
		this.sandboxesAt = parts.sandboxesAt;
		this.program = parts.program;
		this.deadlines = parts.deadlines;
		this.log = parts.log;
		this.#events = parts.events;
		this.succession = new Succession(this);
	}

	/** Learns how init ends, from the shim, without waiting for it here. */
	watch(task: Task): void {
		const {shim} = task;
		if (shim === undefined) {
			return;
		}
		shim.task.wait({id: task.id}).then(({exitStatus, exitedAt}) => {
			task.end({pid: task.pid, exitStatus, exitedAt: fromTimestamp(exitedAt) ?? new Date()});
		}, (error: unknown) => {
			if (!isShimGone(error) && task.leaving === undefined) {
				this.log.warn('cannot wait for a task', {namespace: task.namespace, container: task.id, error});
			}
		});
	}

	/** Takes away all that is left of a task when its shim has forgotten it: shim, network, mounts, bundle. */
	async forget(task: Task): Promise<void> {
		if (task.shim !== undefined) {
			await this.pool.release(task.shim, task.id);
		}
		task.logPipe?.[Symbol.dispose]();
		// The bundle goes last: a daemon that is killed here finds by it what is still to be undone.
		throwFirst(await Promise.allSettled([task.network === undefined ? undefined : this.networks.detach(task.network), task.bundle.clear()]));
		await this.mounts.deactivate(task);
		await task.bundle.remove();
		this.registry.remove(task);
	}

	/**
	 * The shim of a task is gone and cannot be asked: ends what it left by the shim's own `delete`, tells everyone that the task has exited, if nobody
	 * did, and is deleted, and takes the rest away. The exit status is 255 where nobody knows it.
	 */
	async bury(task: Task): Promise<void> {
		task.leaving ??= this.#bury(task);
		await task.leaving;
	}

	/** `<binary> delete`, for a shim that cannot be asked. Resolves with how init ended, as far as it knows. */
	async cleanUpShim(task: Task): Promise<ProcessExit | undefined> {
		const binary = await task.bundle.readShimBinary();
		if (binary === undefined) {
			return undefined;
		}
		try {
			const signal = AbortSignal.timeout(this.deadlines.cleanup * 2);
			const answer = DeleteResponse.decode(await this.program(binary).delete({namespace: task.namespace, id: task.id, bundle: task.bundle.path, signal}));
			return {pid: answer.pid, exitStatus: answer.exitStatus, exitedAt: fromTimestamp(answer.exitedAt) ?? new Date()};
		} catch (error) {
			this.log.warn('a shim could not clean up', {namespace: task.namespace, container: task.id, error});
			return undefined;
		}
	}

	async #bury(task: Task): Promise<void> {
		const {id, namespace, bundle} = task;
		const known = task.exit;
		// Our own shims write what they make, and what they told; another's bundle has neither, nor has that of an older build.
		const isOwn = await bundle.readShimBinary() === this.search.own;
		const wasMade = !isOwn || recordedProcess(bundle.path, '') !== undefined || (!keepsRecords(bundle.path) && recordedPid(bundle.path, '') !== 0);
		const wasTold = known !== undefined || isTold(bundle.path, '', 'exit');
		const left = await this.cleanUpShim(task);
		const address = await bundle.readAddress();
		if (address !== undefined && !this.pool.has(address)) {
			await removeDeadSocket(address);
		}
		const exit = known ?? {pid: left?.pid || task.pid, exitStatus: left?.exitStatus ?? 255, exitedAt: left?.exitedAt ?? new Date()};
		this.log.warn('the shim of a task is gone', {namespace, container: id, exit_status: exit.exitStatus});
		if (wasMade && !wasTold) {
			this.#publish(namespace, 'containerd.events.TaskExit', {containerId: id, id, ...exit});
			recordTold(bundle.path, '', 'exit');
		}
		task.end(exit);
		if (wasMade) {
			this.#publish(namespace, 'containerd.events.TaskDelete', {containerId: id, id: '', ...exit});
		}
		await this.forget(task);
	}

	#publish<T extends TaskEventType>(namespace: string, type: T, value: EventValues[T]): void {
		this.#events.publish(namespace, topicOf(type), {type, value});
	}
}
