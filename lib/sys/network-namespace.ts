import {open, unlink} from 'node:fs/promises';
import {KeelsonError} from '../../kernel/errors.ts';
import {fileSystemStatus, MAGIC} from './file-system.ts';
import {errnoOf} from './libc.ts';
import {bindMount, UMOUNT, unmountAll} from './mount.ts';
import {waitUntilGone} from './process.ts';
import {spawnProcess} from './spawn.ts';

/**
 * Makes a new network namespace and pins it at `path`, which must not exist, in a directory that does; nothing in it is up, not even
 * `lo`. After a failure nothing is left. Rejects with ALREADY_EXISTS.
 *
 * unshare(1) does it, in some 4 ms: no thread of ours is ever in the new namespace, and a worker thread would take ten times as long.
 */
export async function createNetworkNamespace(path: string): Promise<void> {
	await createEmptyFile(path);
	try {
		const pid = spawnProcess('/usr/bin/unshare', [`--net=${path}`, '--', '/bin/true'], {env: {}});
		await waitUntilGone(pid);
		// The pin and not the exit code, which somebody who reaps orphans may have taken.
		if (!isNetworkNamespace(path)) {
			throw new KeelsonError('INTERNAL', `create network namespace at ${path}: unshare(1) did not pin it there`);
		}
	} catch (error) {
		await removeNetworkNamespace(path);
		throw error;
	}
}

/**
 * Pins the namespace of a descriptor at `path`, which must not exist, in a directory that does. The descriptor stays the caller's. After a failure
 * nothing is left. Rejects with ALREADY_EXISTS.
 */
export async function pinNetworkNamespace(fd: number, path: string): Promise<void> {
	await createEmptyFile(path);
	try {
		await bindMount(`/proc/self/fd/${fd}`, path);
	} catch (error) {
		await removeNetworkNamespace(path);
		throw error;
	}
}

/** Unpins what is pinned at `path` and removes the file; also when one or both are gone already. Processes in the namespace keep it. */
export async function removeNetworkNamespace(path: string): Promise<void> {
	await unmountAll(path, UMOUNT.DETACH);
	try {
		await unlink(path);
	} catch (error) {
		if (errnoOf(error) !== 'ENOENT') {
			throw KeelsonError.from(error, 'INTERNAL');
		}
	}
}

/** Whether a namespace is pinned at `path`; false too when there is no such file. */
export function isNetworkNamespace(path: string): boolean {
	try {
		return fileSystemStatus(path).type === MAGIC.NSFS;
	} catch (error) {
		if (errnoOf(error) === 'ENOENT') {
			return false;
		}
		throw error;
	}
}

async function createEmptyFile(path: string): Promise<void> {
	try {
		const file = await open(path, 'wx', 0o444);
		await file.close();
	} catch (error) {
		const code = errnoOf(error) === 'EEXIST' ? 'ALREADY_EXISTS' : errnoOf(error) === 'ENOENT' ? 'NOT_FOUND' : 'INTERNAL';
		throw new KeelsonError(code, `create network namespace at ${path}: ${errnoOf(error) ?? 'failed'}`, {cause: error});
	}
}
