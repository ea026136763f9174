import {dateOf} from '../api/convert/timestamp.ts';
import {ContainerCreate, ContainerDelete, ContainerUpdate} from '../api/gen/events/container.ts';
import {ContentCreate, ContentDelete} from '../api/gen/events/content.ts';
import {ImageCreate, ImageDelete, ImageUpdate} from '../api/gen/events/image.ts';
import {NamespaceCreate, NamespaceDelete, NamespaceUpdate} from '../api/gen/events/namespace.ts';
import {SandboxCreate, SandboxExit, SandboxStart} from '../api/gen/events/sandbox.ts';
import {SnapshotCommit, SnapshotPrepare, SnapshotRemove} from '../api/gen/events/snapshot.ts';
import {
	TaskCheckpointed, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskIO, TaskOOM, TaskPaused, TaskResumed, TaskStart,
} from '../api/gen/events/task.ts';
import type {CallOptions} from './channel.ts';
import type {Services} from './services.ts';

const codecs = {
	ContainerCreate, ContainerDelete, ContainerUpdate, ContentCreate, ContentDelete, ImageCreate, ImageDelete, ImageUpdate,
	NamespaceCreate, NamespaceDelete, NamespaceUpdate, SandboxCreate, SandboxExit, SandboxStart, SnapshotCommit, SnapshotPrepare, SnapshotRemove,
	TaskCheckpointed, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskIO, TaskOOM, TaskPaused, TaskResumed, TaskStart,
} as const;

/** Something that happened in a daemon. */
export interface DaemonEvent {
	readonly at: Date | undefined;
	readonly namespace: string;
	/** `/tasks/exit`, `/images/create`, ... */
	readonly topic: string;
	/** `containerd.events.TaskExit`, ...; empty where the event has no body. */
	readonly type: string;
	/** The fields of an event of containerd's; undefined for a type that this client does not know. */
	readonly fields: Readonly<Record<string, unknown>> | undefined;
	/** The body as it came. */
	readonly body: Uint8Array;
}

/**
 * Events of all namespaces from now on that match any of the filters (`topic~=|^/tasks/|`, `namespace==default`); all without one.
 * Goes on until it is left, or until the signal; an abort ends it without an error.
 */
export async function* subscribe(services: Pick<Services, 'events'>, {filters = [], ...call}: CallOptions & {readonly filters?: readonly string[]} = {}): AsyncGenerator<DaemonEvent, void, undefined> {
	try {
		for await (const {timestamp, namespace, topic, event} of services.events.subscribe({filters}, call)) {
			const type = event?.typeUrl ?? '';
			const body = event?.value ?? new Uint8Array();
			yield {at: dateOf(timestamp), namespace, topic, type, fields: fieldsOf(type, body), body};
		}
	} catch (error) {
		if (call.signal?.aborted !== true) {
			throw error;
		}
	}
}

function fieldsOf(type: string, body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
	const name = type.slice(type.lastIndexOf('.') + 1);
	// Those of images are of the package of their service.
	if (!/(?:^|\/)containerd\.(?:events|services\.images\.v1)\.[^.]+$/.test(type) || !Object.hasOwn(codecs, name)) {
		return undefined;
	}
	try {
		return {...codecs[name as keyof typeof codecs].decode(body)};
	} catch {
		// Anybody may publish under this name: a body that does not decode is still an event.
		return undefined;
	}
}
