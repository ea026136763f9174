/**
 * Copies: a part of a file tree as a tar, out of it and into it. No layers: a name is a name, and nothing is removed by one.
 *
 *     pack(place)           the file or directory at a path of a tree, with all that is in it, as a tar
 *     unpack(bytes, place)  an archive's files into a directory of a tree
 *
 * A *place* is a path of a tree. Whatever links the tree or the archive has, it is resolved within the tree's root: the tree may be that of a container
 * that runs and changes it meanwhile.
 */

import {contract} from '../../kernel/contract.ts';
import type {Mount} from '../oci/mount.ts';

/** So many ids from `inside` on are those from `outside` on, as in user_namespaces(7). */
export interface IdRange {
	readonly inside: number;
	readonly outside: number;
	readonly size: number;
}

export interface CopyPlace {
	/** A directory of this machine, or the mounts that make the tree. */
	readonly tree: {readonly root: string} | {readonly mounts: readonly Mount[]};
	/** Absolute ones and relative ones count from the root. Of the last part a link is not followed, unless a slash or `/.` comes after it. */
	readonly path: string;
	/** Of the tree's user namespace; none: ids are those of this machine. Archives have the ids that are seen inside. */
	readonly ids?: {readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[]};
}

export interface CopyOptions {
	/** Owners are as they are; otherwise all is root's. */
	readonly keepsOwners?: boolean;
	readonly signal?: AbortSignal;
}

export interface TreeCopy {
	/**
	 * Resolves when the path is known; names in the tar begin with its last part (`.` for the root, and for a path that ends in `/.`). `walks` false: a directory's own entry alone.
	 * Sockets are left out, and so is what is in file systems that the kernel makes up (proc, sysfs, ...). What is under way when the iteration is left ends.
	 * Rejects with NOT_FOUND, INVALID_ARGUMENT (the path); the iteration with ABORTED where a file becomes shorter while it is read.
	 */
	pack(place: CopyPlace, options?: CopyOptions & {readonly walks?: boolean}): Promise<AsyncIterable<Uint8Array>>;
	/**
	 * Files replace files, and directories are joined. Plain, gzip or zstd; `bytes` must end with the signal. Rejects with NOT_FOUND (the path), INVALID_ARGUMENT (the path is no directory, not a tar, an entry that points
	 * outside of it), DATA_LOSS (cut short), FAILED_PRECONDITION (a directory would be replaced by a file or the other way round, a file system is read-only). What was there before stays there then.
	 */
	unpack(bytes: AsyncIterable<Uint8Array>, place: CopyPlace, options?: CopyOptions): Promise<void>;
}

export const TreeCopy = contract('io.keelson.copy.v1').for<TreeCopy>();
