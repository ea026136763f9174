/**
 * Metadata: what is known of namespaces, images, containers, sandboxes, leases, and which content and snapshots each namespace owns.
 *
 * A *namespace* separates clients; bytes are shared, names are not. A *scope* is a namespace as one request sees it, with the *lease*
 * that protects what the request makes. Content and snapshots reached through a scope obey the same contracts as the bare stores,
 * seen by that namespace alone.
 *
 * *Garbage collection* removes content and snapshots that nothing reaches from a root: an image, a container, a live lease, an ingest
 * that has not expired, or what is labelled `containerd.io/gc.root`. References are labels (`containerd.io/gc.ref.…`).
 */

import {contract} from '../../kernel/contract.ts';
import type {ContentInfo, ContentStore} from '../content/content.ts';
import type {Digest} from '../oci/digest.ts';
import type {Any} from '../oci/any.ts';
import type {Descriptor} from '../oci/descriptor.ts';
import type {Labels} from '../oci/labels.ts';
import type {Snapshotter} from '../snapshot/snapshot.ts';
import type {CollectibleResource} from './collectible.ts';

export type {CollectibleItem, CollectibleResource} from './collectible.ts';

export interface NamespaceInfo {
	readonly name: string;
	readonly labels: Labels;
}

export interface NamespaceStore {
	/** Rejects with NOT_FOUND. */
	get(name: string): Promise<NamespaceInfo>;
	list(): Promise<readonly NamespaceInfo[]>;
	/** Rejects with ALREADY_EXISTS, INVALID_ARGUMENT (name, labels). */
	create(namespace: NamespaceInfo): Promise<NamespaceInfo>;
	/** `fields` as in ContentStore.update. Rejects with NOT_FOUND, INVALID_ARGUMENT. */
	update(namespace: NamespaceInfo, fields: readonly string[]): Promise<NamespaceInfo>;
	/** Rejects with NOT_FOUND; FAILED_PRECONDITION while it holds anything, saying what. */
	delete(name: string): Promise<void>;
}

export interface ImageInfo {
	readonly name: string;
	readonly labels: Labels;
	readonly target: Descriptor;
	readonly createdAt: Date;
	readonly updatedAt: Date;
}

/** What a client gives of an image. */
export type ImageRecord = Pick<ImageInfo, 'name' | 'labels' | 'target'>;

/** What a client gives to change an image: the target may be left out where the mask does not name it. */
export type ImageChange = Omit<ImageRecord, 'target'> & Partial<Pick<ImageRecord, 'target'>>;

export interface ImageStore {
	/** Rejects with NOT_FOUND. */
	get(name: string): Promise<ImageInfo>;
	/** Filters are OR-ed: `name`, `target.digest`, `target.mediatype`, `labels.<key>`, `annotations.<key>`. By name. */
	list(filters?: readonly string[]): Promise<readonly ImageInfo[]>;
	/** Rejects with ALREADY_EXISTS, INVALID_ARGUMENT. */
	create(image: ImageRecord, options?: {readonly createdAt?: Date}): Promise<ImageInfo>;
	/** Fields: `labels`, `labels.<key>`, `target`, `annotations`, `annotations.<key>`; none: labels and target. Rejects with NOT_FOUND, INVALID_ARGUMENT. */
	update(image: ImageChange, fields: readonly string[], options?: {readonly updatedAt?: Date}): Promise<ImageInfo>;
	/**
	 * Rejects with NOT_FOUND, also when `target` is given and is not what the image points to. `sync`: resolves after a collection.
	 */
	delete(name: string, options?: {readonly sync?: boolean; readonly target?: Descriptor}): Promise<void>;
}

export interface ContainerInfo {
	readonly id: string;
	readonly labels: Labels;
	readonly image: string;
	readonly runtime: {readonly name: string; readonly options?: Any};
	readonly spec?: Any;
	readonly snapshotter: string;
	readonly snapshotKey: string;
	readonly createdAt: Date;
	readonly updatedAt: Date;
	readonly extensions: Readonly<Record<string, Any>>;
	readonly sandbox: string;
}

export type ContainerRecord = Omit<ContainerInfo, 'createdAt' | 'updatedAt'>;

export interface ContainerStore {
	/** Rejects with NOT_FOUND. */
	get(id: string): Promise<ContainerInfo>;
	/** Filters: `id`, `runtime.name`, `image`, `labels.<key>`. By id. */
	list(filters?: readonly string[]): Promise<readonly ContainerInfo[]>;
	/** Rejects with ALREADY_EXISTS, INVALID_ARGUMENT (id, labels, a missing runtime name or spec, a snapshot key without snapshotter). */
	create(container: ContainerRecord): Promise<ContainerInfo>;
	/**
	 * Fields: `labels`, `labels.<key>`, `spec`, `extensions`, `extensions.<key>`, `image`, `snapshotkey`; none: all that may change.
	 * Rejects with NOT_FOUND, INVALID_ARGUMENT (another field, or a change of snapshotter or runtime name).
	 */
	update(container: ContainerRecord, fields: readonly string[]): Promise<ContainerInfo>;
	/** Rejects with NOT_FOUND. */
	delete(id: string): Promise<void>;
}

export interface SandboxInfo {
	readonly id: string;
	readonly runtime: {readonly name: string; readonly options?: Any};
	readonly spec?: Any;
	readonly labels: Labels;
	readonly createdAt: Date;
	readonly updatedAt: Date;
	readonly extensions: Readonly<Record<string, Any>>;
	readonly sandboxer: string;
}

export type SandboxRecord = Omit<SandboxInfo, 'createdAt' | 'updatedAt'>;

export interface SandboxStore {
	get(id: string): Promise<SandboxInfo>;
	list(filters?: readonly string[]): Promise<readonly SandboxInfo[]>;
	create(sandbox: SandboxRecord): Promise<SandboxInfo>;
	/** Fields: `labels`, `labels.<key>`, `extensions`, `extensions.<key>`, `runtime`, `spec`; none: all. */
	update(sandbox: SandboxRecord, fields: readonly string[]): Promise<SandboxInfo>;
	delete(id: string): Promise<void>;
}

export interface LeaseInfo {
	readonly id: string;
	readonly createdAt: Date;
	/** `containerd.io/gc.expire` (RFC 3339) ends it. */
	readonly labels: Labels;
}

/** `type` is `content`, `ingests`, `images` or `snapshots/<snapshotter>`; `id` a digest, ref, name or key. */
export interface LeaseResource {
	readonly type: string;
	readonly id: string;
}

export interface LeaseStore {
	/** An empty id asks for one to be made. Rejects with ALREADY_EXISTS, INVALID_ARGUMENT. */
	create(lease: Pick<LeaseInfo, 'id' | 'labels'>): Promise<LeaseInfo>;
	/** Rejects with NOT_FOUND. `sync`: resolves after a collection. */
	delete(id: string, options?: {readonly sync?: boolean}): Promise<void>;
	/** Filters: `id`, `labels.<key>`. */
	list(filters?: readonly string[]): Promise<readonly LeaseInfo[]>;
	/** Rejects with NOT_FOUND (lease), INVALID_ARGUMENT, UNIMPLEMENTED (type). */
	add(id: string, resource: LeaseResource): Promise<void>;
	remove(id: string, resource: LeaseResource): Promise<void>;
	resources(id: string): Promise<readonly LeaseResource[]>;
}

export interface ScopeOptions {
	readonly namespace: string;
	/** Protects what is made through the scope; NOT_FOUND at first use when there is no such lease. */
	readonly lease?: string;
}

/** What a namespace has of content. */
export interface ScopedContent extends ContentStore {
	/**
	 * Those of the blobs that are here, in one change: the scope's lease protects them from now on. One whose bytes are lost is not here, so that they are sent again.
	 * Rejects with NOT_FOUND when there is no such lease and something to protect.
	 */
	keep(digests: readonly Digest[]): Promise<ReadonlyMap<Digest, ContentInfo>>;
}

/** One namespace, as one request sees it. Cheap to make, holds nothing. */
export interface Scope {
	readonly namespace: string;
	readonly lease: string | undefined;
	readonly content: ScopedContent;
	/** Throws INVALID_ARGUMENT `snapshotter not loaded: x`, as clients of containerd expect. */
	snapshotter(name: string): Snapshotter;
	readonly images: ImageStore;
	readonly containers: ContainerStore;
	readonly sandboxes: SandboxStore;
	readonly leases: LeaseStore;
}

export interface CollectResult {
	readonly removedContent: number;
	readonly removedSnapshots: number;
	readonly removedIngests: number;
	readonly removedLeases: number;
	/** Milliseconds. */
	readonly durationMs: number;
	/** When a lease, an ingest or a label expires next, so that another collection would find more. */
	readonly nextExpiry?: Date;
}

/**
 * Told after each durable change, `hasDeleted` when something may have become unreachable; and when a collection begins, which takes care of all
 * that was told before. Must not throw.
 */
export type ChangeListener = (change: {readonly hasDeleted: boolean; readonly hasCollected?: boolean}) => void;

export interface Metadata {
	readonly namespaces: NamespaceStore;
	/** Names of the snapshotters that are loaded. */
	readonly snapshotters: readonly string[];
	/** Throws INVALID_ARGUMENT when the namespace is not a valid identifier. */
	scope(options: ScopeOptions): Scope;
	/** Collects now. One that runs already is joined by a second that starts after it. */
	collect(signal?: AbortSignal): Promise<CollectResult>;
	/** Collects `resource` as well, until disposed. One of each kind. */
	register(resource: CollectibleResource): Disposable;
	/** Tells `listener` of every change until disposed: whoever schedules collections goes by it. */
	watch(listener: ChangeListener): Disposable;
}

export const Metadata = contract('io.containerd.metadata.v1').for<Metadata>();
