import {dateOf} from '../../api/convert/timestamp.ts';
import type {Any} from '../../api/gen/google/protobuf/any.ts';
import type {Container as ContainerMessage} from '../../api/gen/services/containers/v1/containers.ts';
import {Status, type Process as ProcessMessage} from '../../api/gen/types/task/task.ts';
import type {Spec} from '../spec/spec.ts';

export type TaskStatus = 'unknown' | 'created' | 'running' | 'stopped' | 'paused' | 'pausing';

/** What the daemon knows of a container's first process. */
export interface TaskRecord {
	readonly pid: number;
	readonly status: TaskStatus;
	/** Of a process that has ended. */
	readonly exitCode: number;
	readonly exitedAt: Date | undefined;
}

/** What the daemon keeps of a container. */
export interface ContainerRecord {
	readonly id: string;
	readonly image: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly runtime: string;
	readonly snapshotter: string;
	readonly snapshotKey: string;
	readonly createdAt: Date | undefined;
	/** Undefined where it is no OCI runtime spec. */
	readonly spec: Spec | undefined;
	/** Undefined while nothing was started. */
	readonly task: TaskRecord | undefined;
}

/** The type of a spec on the wire; its value is JSON. */
export const SPEC_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Spec';
/** The same of a process that is added. */
export const PROCESS_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process';

export function recordOf(container: ContainerMessage, task: ProcessMessage | undefined): ContainerRecord {
	const {id, image, labels, runtime, snapshotter, snapshotKey, createdAt, spec} = container;
	return {
		id, image, labels, snapshotter, snapshotKey,
		runtime: runtime?.name ?? '',
		createdAt: dateOf(createdAt),
		spec: specOf(spec),
		task: task === undefined ? undefined : taskOf(task),
	};
}

export function taskOf({pid, status, exitStatus, exitedAt}: ProcessMessage): TaskRecord {
	// Wire order. A number of a newer daemon is unknown.
	const names: readonly TaskStatus[] = ['unknown', 'created', 'running', 'stopped', 'paused', 'pausing'];
	return {pid, status: names[status] ?? 'unknown', exitCode: exitStatus, exitedAt: status === Status.STOPPED ? dateOf(exitedAt) : undefined};
}

function specOf(any: Any | undefined): Spec | undefined {
	if (any === undefined || !any.typeUrl.endsWith('opencontainers/runtime-spec/1/Spec')) {
		return undefined;
	}
	try {
		return JSON.parse(Buffer.from(any.value).toString('utf8')) as Spec;
	} catch {
		// Another client wrote it: that it is no JSON must not hide the container.
		return undefined;
	}
}

/** A JSON value as the daemon stores it. */
export function jsonAny(typeUrl: string, value: unknown): Any {
	return {typeUrl, value: Buffer.from(JSON.stringify(value))};
}
