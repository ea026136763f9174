/**
 * Snapshots: file trees, each a change on top of its parent.
 *
 * An *active* snapshot is named by a *key* and can be written through its mounts; a *view* is the same but read-only; a *committed*
 * one is immutable, has a *name* (keys and names share one space), and may be a parent.
 *
 *     prepare(key, parent) ─► (mount, write, unmount) ─► commit(name, key) ─► prepare(key2, name) …
 *     view(key, parent)    ─► (mount, read, unmount)  ─► remove(key)
 *
 * The snapshotter makes directories and answers mounts as values; it never mounts. A parent cannot be removed before its children.
 */

import {contract} from '../../kernel/contract.ts';
import type {Labels} from '../oci/labels.ts';
import type {Mount} from '../oci/mount.ts';

export type SnapshotKind = 'active' | 'view' | 'committed';

export interface SnapshotInfo {
	/** Key or name. */
	readonly name: string;
	/** Empty when there is none. */
	readonly parent: string;
	readonly kind: SnapshotKind;
	readonly createdAt: Date;
	readonly updatedAt: Date;
	readonly labels: Labels;
}

/** What the snapshot alone takes, its parents not counted. */
export interface SnapshotUsage {
	/** Bytes. */
	readonly size: number;
	readonly inodes: number;
}

export interface SnapshotOptions {
	readonly labels?: Labels;
	readonly signal?: AbortSignal;
}

export interface PrepareSnapshotOptions extends SnapshotOptions {
	/**
	 * It is prepared without a parent, and gets one by commit: several layers of an image can then be unpacked at once. Its mounts are those of an overlay's upper
	 * directory with nothing below, which cannot be performed, but a differ can apply a layer to (`applyApart`). Needs `canRebase`.
	 */
	readonly isApart?: boolean;
}

export interface CommitSnapshotOptions extends SnapshotOptions {
	/** Puts the snapshot on top of another parent than it was prepared with; needs the capability `rebase`. The tree's own root becomes as the parent's is. */
	readonly parent?: string;
}

export interface Snapshotter {
	/** It takes `isApart` and commit with another parent; false or absent: it does not. */
	readonly canRebase?: boolean;
	/** Rejects with NOT_FOUND. */
	stat(name: string): Promise<SnapshotInfo>;
	/** Replaces labels: all when `fields` is empty or has `labels`, else those named `labels.<key>` (an empty value removes). Rejects with NOT_FOUND, INVALID_ARGUMENT. */
	update(name: string, labels: Labels, fields: readonly string[]): Promise<SnapshotInfo>;
	/** Of an active one: what it takes now. Rejects with NOT_FOUND. */
	usage(name: string, signal?: AbortSignal): Promise<SnapshotUsage>;
	/** The mounts of an active snapshot or a view. Rejects with NOT_FOUND; FAILED_PRECONDITION when committed. */
	mounts(key: string): Promise<readonly Mount[]>;
	/** Rejects with ALREADY_EXISTS (key), NOT_FOUND (parent), INVALID_ARGUMENT (parent not committed, empty key). */
	prepare(key: string, parent: string, options?: PrepareSnapshotOptions): Promise<readonly Mount[]>;
	/** Like prepare; the mounts are read-only. */
	view(key: string, parent: string, options?: SnapshotOptions): Promise<readonly Mount[]>;
	/**
	 * The active snapshot `key` becomes the committed `name`; after it, `key` is gone. Labels replace the active one's. What was written is durable before
	 * the name is visible. Rejects with ALREADY_EXISTS (name), NOT_FOUND (key), FAILED_PRECONDITION (not active).
	 */
	commit(name: string, key: string, options?: CommitSnapshotOptions): Promise<void>;
	/** Rejects with NOT_FOUND; FAILED_PRECONDITION while it has children. The name is free at once; the bytes may go later. */
	remove(name: string): Promise<void>;
	/** Filters are OR-ed (fields `kind`, `name`, `parent`, `labels.<key>`); none: all. By name. */
	list(filters?: readonly string[], signal?: AbortSignal): AsyncIterable<SnapshotInfo>;
	/** Removes what no snapshot owns any more. */
	cleanup(signal?: AbortSignal): Promise<void>;
}

/** Snapshotters by name: the last part of the plugin's id (`overlayfs`). */
export const Snapshotter = contract('io.containerd.snapshotter.v1').for<Snapshotter>();
