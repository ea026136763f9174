import {constants, lstatSync, openSync, closeSync, readdirSync, rmSync, type BigIntStats} from 'node:fs';
import type {SnapshotUsage} from '../../contracts/snapshot/snapshot.ts';

/** What the worker is asked to do; `cancelled` is one Int32 that another thread sets to 1 to end it early. */
export interface DirectoryJob {
	readonly id: number;
	readonly kind: 'measure' | 'remove';
	readonly path: string;
	readonly cancelled: SharedArrayBuffer;
}

/** A path near the kernel's limit is continued from the descriptor of a directory on it. */
const pathBytesMax = 3000;

/**
 * Counts what a tree takes on the disk, as du(1) does: blocks of 512 bytes, hard links once, the root too. Files that go meanwhile
 * are not counted. Synchronous: for a worker thread.
 */
export function measureTree(root: string, cancelled: () => boolean): SnapshotUsage {
	const seen = new Set<string>();
	let blocks = 0n;
	let inodes = 0;
	const count = (status: BigIntStats): void => {
		if (!status.isDirectory() && status.nlink > 1n) {
			const inode = `${status.dev}:${status.ino}`;
			if (seen.has(inode)) {
				return;
			}
			seen.add(inode);
		}
		inodes++;
		blocks += status.blocks;
	};
	const walk = (path: Buffer): void => {
		if (path.length > pathBytesMax) {
			const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
			try {
				walk(Buffer.from(`/proc/self/fd/${fd}/.`));
			} finally {
				closeSync(fd);
			}
			return;
		}
		if (cancelled()) {
			throw new DOMException('measuring was aborted', 'AbortError');
		}
		for (const name of ignoreGone(() => readdirSync(path, {encoding: 'buffer'})) ?? []) {
			const inner = Buffer.concat([path, slash, name]);
			const status = ignoreGone(() => lstatSync(inner, {bigint: true}));
			if (status !== undefined) {
				count(status);
			}
			if (status?.isDirectory() === true) {
				ignoreGone(() => walk(inner));
			}
		}
	};
	count(lstatSync(root, {bigint: true}));
	walk(Buffer.from(root));
	return {size: Number(blocks) * 512, inodes};
}

/** Removes a tree; one that is gone is no error. Synchronous: for a worker thread. */
export function removeTree(root: string): void {
	rmSync(root, {recursive: true, force: true});
}

function ignoreGone<T>(work: () => T): T | undefined {
	try {
		return work();
	} catch (error) {
		if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
			return undefined;
		}
		throw error;
	}
}

const slash = Buffer.from('/');
