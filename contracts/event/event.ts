/**
 * Events: what has happened, told to whoever listens now.
 *
 * An *envelope* is an event with its time, namespace and *topic* (`/images/create`). What rooms of this daemon publish is a typed
 * value; what shims and clients send is an Any, handed on byte for byte. Delivery is in the order of publishing; a subscriber that is
 * too slow for its bounded queue loses its subscription with RESOURCE_EXHAUSTED, and never slows anybody.
 */

import {contract} from '../../kernel/contract.ts';
import type {Any} from '../oci/any.ts';
import type {Labels} from '../oci/labels.ts';
import type {Mount} from '../oci/mount.ts';

/** The protobuf messages that this daemon publishes itself, by full name; field names are protobuf's in camel case. */
export interface EventValues {
	readonly 'containerd.events.NamespaceCreate': {readonly name: string; readonly labels: Labels};
	readonly 'containerd.events.NamespaceUpdate': {readonly name: string; readonly labels: Labels};
	readonly 'containerd.events.NamespaceDelete': {readonly name: string};
	readonly 'containerd.services.images.v1.ImageCreate': {readonly name: string; readonly labels: Labels};
	readonly 'containerd.services.images.v1.ImageUpdate': {readonly name: string; readonly labels: Labels};
	readonly 'containerd.services.images.v1.ImageDelete': {readonly name: string};
	readonly 'containerd.events.ContainerCreate': {readonly id: string; readonly image: string; readonly runtime: {readonly name: string; readonly options?: Any}};
	readonly 'containerd.events.ContainerUpdate': {readonly id: string; readonly image: string; readonly labels: Labels; readonly snapshotKey: string};
	readonly 'containerd.events.ContainerDelete': {readonly id: string};
	readonly 'containerd.events.ContentCreate': {readonly digest: string; readonly size: bigint};
	readonly 'containerd.events.ContentDelete': {readonly digest: string};
	readonly 'containerd.events.SnapshotPrepare': {readonly key: string; readonly parent: string; readonly snapshotter: string};
	readonly 'containerd.events.SnapshotCommit': {readonly key: string; readonly name: string; readonly snapshotter: string};
	readonly 'containerd.events.SnapshotRemove': {readonly key: string; readonly snapshotter: string};
	readonly 'containerd.events.SandboxCreate': {readonly sandboxId: string};
	readonly 'containerd.events.SandboxStart': {readonly sandboxId: string};
	readonly 'containerd.events.SandboxExit': {readonly sandboxId: string; readonly exitStatus: number; readonly exitedAt: Date};
	readonly 'containerd.events.TaskCreate': {
		readonly containerId: string; readonly bundle: string; readonly rootfs: readonly Mount[]; readonly checkpoint: string; readonly pid: number;
		readonly io: {readonly stdin: string; readonly stdout: string; readonly stderr: string; readonly terminal: boolean};
	};
	readonly 'containerd.events.TaskStart': {readonly containerId: string; readonly pid: number};
	readonly 'containerd.events.TaskDelete': {readonly containerId: string; readonly pid: number; readonly exitStatus: number; readonly exitedAt: Date; readonly id: string};
	readonly 'containerd.events.TaskExit': {readonly containerId: string; readonly id: string; readonly pid: number; readonly exitStatus: number; readonly exitedAt: Date};
	readonly 'containerd.events.TaskOOM': {readonly containerId: string};
	readonly 'containerd.events.TaskExecAdded': {readonly containerId: string; readonly execId: string};
	readonly 'containerd.events.TaskExecStarted': {readonly containerId: string; readonly execId: string; readonly pid: number};
	readonly 'containerd.events.TaskPaused': {readonly containerId: string};
	readonly 'containerd.events.TaskResumed': {readonly containerId: string};
	readonly 'containerd.events.TaskCheckpointed': {readonly containerId: string; readonly checkpoint: string};
}

export type EventType = keyof EventValues;

/** A typed value of ours. */
export interface EventValue<T extends EventType = EventType> {
	readonly type: T;
	readonly value: EventValues[T];
}

/** Ours as a value, anybody else's as bytes; told apart by `typeUrl`. */
export type EventBody = EventValue | Any;

export interface Envelope {
	readonly timestamp: Date;
	readonly namespace: string;
	readonly topic: string;
	readonly event: EventBody;
}

/** `/images/create`: a slash, then identifiers between slashes. */
export type Topic = `/${string}`;

export interface EventBus {
	/** Tells everyone that `event` happened just now. Never waits; throws INVALID_ARGUMENT for a bad topic or namespace, and only then. */
	publish<T extends EventType>(namespace: string, topic: Topic, event: EventValue<T>): void;
	/** Hands on an envelope as it is. Throws INVALID_ARGUMENT for a bad namespace or topic. */
	forward(envelope: Envelope): void;
	/**
	 * Every envelope from now on that any filter matches (none: all). The subscription stands as soon as this returns, and ends when the signal aborts or
	 * the iteration is returned. Throws INVALID_ARGUMENT for a filter that does not parse. `field` reads fields of the event itself
	 * (`event.<field>`), which the bus cannot read; without it such fields are absent.
	 */
	subscribe(options: {
		readonly filters?: readonly string[];
		readonly signal: AbortSignal;
		readonly field?: (envelope: Envelope, path: readonly string[]) => string | undefined;
	}): AsyncIterable<Envelope>;
}

export const EventBus = contract('io.containerd.event.v1').for<EventBus>();
