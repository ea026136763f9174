/**
 * Tasks: containers that run.
 *
 * A *task* is the running form of a container: an *init* process and *execs* beside it, each with a *status*. A task is created (its
 * namespaces exist, its program does not run), started, exits, and is deleted; execs go the same way under an id of their own.
 *
 *     create ─► CREATED ─► start ─► RUNNING ⇄ pause/resume PAUSED ─► (exit) STOPPED ─► delete
 *
 * The processes live below a shim and go on when this daemon does not.
 */

import {contract} from '../../kernel/contract.ts';
import type {Any} from '../oci/any.ts';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Mount} from '../oci/mount.ts';

export type ProcessStatus = 'unknown' | 'created' | 'running' | 'stopped' | 'paused' | 'pausing';

/** Paths or URIs (`file://`, `binary://`) of a process's standard streams; empty: none. */
export interface Stdio {
	readonly stdin: string;
	readonly stdout: string;
	readonly stderr: string;
	readonly terminal: boolean;
}

/** Names a process: an empty exec id is the task's init. */
export interface ProcessKey {
	readonly containerId: string;
	readonly execId: string;
}

export interface ProcessInfo extends ProcessKey, Stdio {
	readonly pid: number;
	readonly status: ProcessStatus;
	readonly exitStatus: number;
	readonly exitedAt?: Date;
}

export interface ProcessExit {
	readonly pid: number;
	/** The exit code, or 128 and the signal's number; 255 where nobody can know any more. */
	readonly exitStatus: number;
	readonly exitedAt: Date;
}

export interface CreateTask extends Stdio {
	readonly containerId: string;
	/** Performed onto the bundle's rootfs; empty: the spec's own absolute root is used. */
	readonly rootfs: readonly Mount[];
	/** Replaces the container's runtime options whole. */
	readonly options?: Any;
	readonly checkpoint?: Descriptor;
	/** Another shim binary, by absolute path. */
	readonly runtimePath?: string;
	/** For a container of a sandbox: where the shim that runs it answers (`unix:///…`, ttrpc), and which task protocol (2 or 3) it speaks. Default: as its controller says. */
	readonly taskApi?: {readonly address: string; readonly version: number};
}

export interface ExecProcess extends ProcessKey, Stdio {
	/** The OCI process, as JSON inside an Any. */
	readonly spec: Any;
}

export interface TaskMetric {
	readonly id: string;
	readonly timestamp: Date;
	readonly data: Any;
}

/** The tasks of one namespace. Every method rejects with NOT_FOUND when there is no such task or exec. */
export interface Tasks {
	/** Resolves to init's pid. Rejects with ALREADY_EXISTS, NOT_FOUND (container, runtime), FAILED_PRECONDITION; on failure nothing is left. */
	create(task: CreateTask, signal?: AbortSignal): Promise<number>;
	/** Resolves to the pid. Rejects with FAILED_PRECONDITION (started or gone already), or UNKNOWN with the runtime's own words. */
	start(process: ProcessKey, signal?: AbortSignal): Promise<number>;
	/** Rejects with FAILED_PRECONDITION while it runs. Afterwards shim state, mounts, bundle and pinned namespace are gone. */
	delete(containerId: string, signal?: AbortSignal): Promise<ProcessExit>;
	deleteProcess(process: ProcessKey, signal?: AbortSignal): Promise<ProcessExit>;
	get(process: ProcessKey, signal?: AbortSignal): Promise<ProcessInfo>;
	/** A shim that does not answer within its deadline shows its tasks as `unknown`, and holds up nobody. */
	list(signal?: AbortSignal): Promise<readonly ProcessInfo[]>;
	kill(process: ProcessKey, signalNumber: number, all: boolean, signal?: AbortSignal): Promise<void>;
	/** Adds an exec; it runs when started. Rejects with ALREADY_EXISTS. */
	exec(process: ExecProcess, signal?: AbortSignal): Promise<void>;
	resizePty(process: ProcessKey, size: {readonly width: number; readonly height: number}, signal?: AbortSignal): Promise<void>;
	closeIo(process: ProcessKey, stdin: boolean, signal?: AbortSignal): Promise<void>;
	pause(containerId: string, signal?: AbortSignal): Promise<void>;
	resume(containerId: string, signal?: AbortSignal): Promise<void>;
	pids(containerId: string, signal?: AbortSignal): Promise<readonly {readonly pid: number; readonly info?: Any}[]>;
	/** Writes to `imagePath`, or, without one, to a directory that the caller removes; resolves to where it lies. */
	checkpoint(containerId: string, path: string, options: Any | undefined, signal?: AbortSignal): Promise<void>;
	update(containerId: string, resources: Any | undefined, annotations: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void>;
	/** Filters: `id`, `namespace`. Tasks that cannot answer are left out. */
	metrics(filters: readonly string[], signal?: AbortSignal): Promise<readonly TaskMetric[]>;
	/** Resolves when the process has ended, at once when it has already; as often as asked. */
	wait(process: ProcessKey, signal?: AbortSignal): Promise<ProcessExit>;
}

export interface TaskManager {
	tasks(namespace: string): Tasks;
	/** What a runtime says of itself (RuntimeInfo, as bytes): asked of its shim with `-info`. */
	runtimeInfo(request: {readonly runtimePath: string; readonly options?: Any}, signal?: AbortSignal): Promise<Any>;
}

export const TaskManager = contract('io.containerd.runtime.v2').for<TaskManager>();
