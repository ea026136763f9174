import {closeSync, constants, fsyncSync, openSync} from 'node:fs';
import {bindings, cString, inPool, lastError, show, systemError, type Name} from './libc.ts';

/** `f_type` of file systems that something here asks for; from linux/magic.h. */
export const MAGIC = {
	OVERLAY: 0x794c7630, TMPFS: 0x01021994, EXT4: 0xef53, XFS: 0x58465342, BTRFS: 0x9123683e, NSFS: 0x6e736673, CGROUP2: 0x63677270, PROC: 0x9fa0,
} as const;

/** statfs(2). */
export interface FileSystemStatus {
	readonly type: number;
	/** Bytes of one block; the counts below are of these. */
	readonly blockBytes: number;
	readonly blocks: bigint;
	readonly blocksFree: bigint;
	/** For those who are not root. */
	readonly blocksAvailable: bigint;
	readonly files: bigint;
	readonly filesFree: bigint;
	readonly nameBytesMax: number;
	/** ST_RDONLY = 1, ST_NOSUID = 2, ... */
	readonly flags: number;
}

/** Of the file system that holds `path`, following links. Quick except on a network file system. */
export function fileSystemStatus(path: Name): FileSystemStatus {
	const buffer = Buffer.alloc(120);
	if (functions().statfs(cString(path), buffer) === -1) {
		throw lastError(`status of the file system at ${show(path)}`);
	}
	return {
		type: Number(buffer.readBigUInt64LE(0) & 0xffffffffn),
		blockBytes: Number(buffer.readBigInt64LE(8)),
		blocks: buffer.readBigUInt64LE(16),
		blocksFree: buffer.readBigUInt64LE(24),
		blocksAvailable: buffer.readBigUInt64LE(32),
		files: buffer.readBigUInt64LE(40),
		filesFree: buffer.readBigUInt64LE(48),
		nameBytesMax: Number(buffer.readBigInt64LE(64)),
		flags: Number(buffer.readBigInt64LE(80)),
	};
}

/** syncfs(2): resolves when all that was written to the file system of `fd` is on its disk. On a thread of the pool. */
export async function syncFileSystem(fd: number): Promise<void> {
	const {result, errno} = await inPool(functions().syncfs, [fd]);
	if (result === -1) {
		throw systemError(errno, `sync the file system of descriptor ${fd}`);
	}
}

/** Makes the names in a directory durable. Waits for the disk: for worker threads. */
export function syncDirectory(path: string): void {
	const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}

/** Makes a FIFO; what umask takes from `mode` is lost. Rejects with ALREADY_EXISTS. */
export function makeFifo(path: Name, mode: number): void {
	if (functions().mkfifo(cString(path), mode) === -1) {
		throw lastError(`make fifo ${show(path)}`);
	}
}

/**
 * flock(2) without waiting: true when the lock is held from now on. It belongs to the open file, so it goes with the last copy of
 * the descriptor, also when the process is killed.
 */
export function tryLockFile(fd: number, kind: 'exclusive' | 'shared' = 'exclusive'): boolean {
	if (functions().flock(fd, LOCK_NB | (kind === 'exclusive' ? LOCK_EX : LOCK_SH)) === 0) {
		return true;
	}
	const error = lastError(`lock descriptor ${fd}`);
	if (error.code === 'UNAVAILABLE') {
		return false;
	}
	throw error;
}

export function unlockFile(fd: number): void {
	if (functions().flock(fd, LOCK_UN) === -1) {
		throw lastError(`unlock descriptor ${fd}`);
	}
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

const functions = bindings(libc => ({
	statfs: libc.func('int statfs(const char *path, void *status)'),
	syncfs: libc.func('int syncfs(int fd)'),
	mkfifo: libc.func('int mkfifo(const char *path, uint mode)'),
	flock: libc.func('int flock(int fd, int operation)'),
}));
