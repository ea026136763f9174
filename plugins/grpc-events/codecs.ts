import {timestampOf} from '../../api/convert/timestamp.ts';
import {ContainerCreate, ContainerDelete, ContainerUpdate} from '../../api/gen/events/container.ts';
import {ContentCreate, ContentDelete} from '../../api/gen/events/content.ts';
import {ImageCreate, ImageDelete, ImageUpdate} from '../../api/gen/events/image.ts';
import {NamespaceCreate, NamespaceDelete, NamespaceUpdate} from '../../api/gen/events/namespace.ts';
import {SandboxCreate, SandboxExit, SandboxStart} from '../../api/gen/events/sandbox.ts';
import {SnapshotCommit, SnapshotPrepare, SnapshotRemove} from '../../api/gen/events/snapshot.ts';
import {
	TaskCheckpointed, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused, TaskResumed, TaskStart,
} from '../../api/gen/events/task.ts';
import type {EventType, EventValues} from '../../contracts/event/event.ts';

interface Message<T> {
	encode(message: T): {finish(): Uint8Array};
	decode(bytes: Uint8Array): T;
}

/** How a value of ours becomes bytes, and bytes an object whose fields can be asked for. */
export interface EventCodec<Value> {
	encode(value: Value): Uint8Array;
	decode(bytes: Uint8Array): object;
}

/** For values that are the message already. */
function same<Value extends T, T extends object>(message: Message<T>): EventCodec<Value> {
	return through(message, value => value);
}

function through<Value, T extends object>(message: Message<T>, convert: (value: Value) => T): EventCodec<Value> {
	return {encode: value => message.encode(convert(value)).finish(), decode: bytes => message.decode(bytes)};
}

/** A new type of event does not compile until it has a codec. */
export const eventCodecs: {readonly [Type in EventType]: EventCodec<EventValues[Type]>} = {
	'containerd.events.NamespaceCreate': same(NamespaceCreate),
	'containerd.events.NamespaceUpdate': same(NamespaceUpdate),
	'containerd.events.NamespaceDelete': same(NamespaceDelete),
	'containerd.services.images.v1.ImageCreate': same(ImageCreate),
	'containerd.services.images.v1.ImageUpdate': same(ImageUpdate),
	'containerd.services.images.v1.ImageDelete': same(ImageDelete),
	'containerd.events.ContainerCreate': through(ContainerCreate, ({runtime, ...rest}) => ({...rest, runtime: {options: undefined, ...runtime}})),
	'containerd.events.ContainerUpdate': same(ContainerUpdate),
	'containerd.events.ContainerDelete': same(ContainerDelete),
	'containerd.events.ContentCreate': same(ContentCreate),
	'containerd.events.ContentDelete': same(ContentDelete),
	'containerd.events.SnapshotPrepare': same(SnapshotPrepare),
	'containerd.events.SnapshotCommit': same(SnapshotCommit),
	'containerd.events.SnapshotRemove': same(SnapshotRemove),
	'containerd.events.SandboxCreate': same(SandboxCreate),
	'containerd.events.SandboxStart': same(SandboxStart),
	'containerd.events.SandboxExit': through(SandboxExit, value => ({...value, exitedAt: timestampOf(value.exitedAt)})),
	'containerd.events.TaskCreate': same(TaskCreate),
	'containerd.events.TaskStart': same(TaskStart),
	'containerd.events.TaskDelete': through(TaskDelete, value => ({...value, exitedAt: timestampOf(value.exitedAt)})),
	'containerd.events.TaskExit': through(TaskExit, value => ({...value, exitedAt: timestampOf(value.exitedAt)})),
	'containerd.events.TaskOOM': same(TaskOOM),
	'containerd.events.TaskExecAdded': same(TaskExecAdded),
	'containerd.events.TaskExecStarted': same(TaskExecStarted),
	'containerd.events.TaskPaused': same(TaskPaused),
	'containerd.events.TaskResumed': same(TaskResumed),
	'containerd.events.TaskCheckpointed': same(TaskCheckpointed),
};
