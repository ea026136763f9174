import * as messages from '../../../api/gen/events/task.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import type {EventType, EventValues, Topic} from '../../../contracts/event/event.ts';
import {toTimestamp} from './timestamp.ts';

export type TaskEventType = Extract<EventType, `containerd.events.Task${string}`>;

const topics: Readonly<Record<TaskEventType, Topic>> = {
	'containerd.events.TaskCreate': '/tasks/create',
	'containerd.events.TaskStart': '/tasks/start',
	'containerd.events.TaskOOM': '/tasks/oom',
	'containerd.events.TaskExit': '/tasks/exit',
	'containerd.events.TaskDelete': '/tasks/delete',
	'containerd.events.TaskExecAdded': '/tasks/exec-added',
	'containerd.events.TaskExecStarted': '/tasks/exec-started',
	'containerd.events.TaskPaused': '/tasks/paused',
	'containerd.events.TaskResumed': '/tasks/resumed',
	'containerd.events.TaskCheckpointed': '/tasks/checkpointed',
};

export function topicOf(type: TaskEventType): Topic {
	return topics[type];
}

/** The event as the protobuf message that clients know. */
export function encodeTaskEvent<T extends TaskEventType>(type: T, value: EventValues[T]): Any {
	const name = type.slice('containerd.events.'.length) as keyof typeof codecs;
	const fields = 'exitedAt' in value ? {...value, exitedAt: toTimestamp(value.exitedAt)} : value;
	return {typeUrl: type, value: codecs[name](fields)};
}

const codecs = {
	TaskCreate: (value: object) => messages.TaskCreate.encode(messages.TaskCreate.fromPartial(value)).finish(),
	TaskStart: (value: object) => messages.TaskStart.encode(messages.TaskStart.fromPartial(value)).finish(),
	TaskOOM: (value: object) => messages.TaskOOM.encode(messages.TaskOOM.fromPartial(value)).finish(),
	TaskExit: (value: object) => messages.TaskExit.encode(messages.TaskExit.fromPartial(value)).finish(),
	TaskDelete: (value: object) => messages.TaskDelete.encode(messages.TaskDelete.fromPartial(value)).finish(),
	TaskExecAdded: (value: object) => messages.TaskExecAdded.encode(messages.TaskExecAdded.fromPartial(value)).finish(),
	TaskExecStarted: (value: object) => messages.TaskExecStarted.encode(messages.TaskExecStarted.fromPartial(value)).finish(),
	TaskPaused: (value: object) => messages.TaskPaused.encode(messages.TaskPaused.fromPartial(value)).finish(),
	TaskResumed: (value: object) => messages.TaskResumed.encode(messages.TaskResumed.fromPartial(value)).finish(),
	TaskCheckpointed: (value: object) => messages.TaskCheckpointed.encode(messages.TaskCheckpointed.fromPartial(value)).finish(),
};
