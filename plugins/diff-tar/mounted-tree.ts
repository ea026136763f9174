import {mkdtemp, rmdir} from 'node:fs/promises';
import path from 'node:path';
import type {Mount} from '../../contracts/oci/mount.ts';
import {performMounts, UMOUNT, unmountAll} from '../../lib/sys/mount.ts';

/** Mounts a tree in a fresh directory in `directory`, until it is disposed. */
export async function mountTree(mounts: readonly Mount[], directory: string): Promise<{readonly path: string} & AsyncDisposable> {
	const made = await mkdtemp(path.join(directory, 'tree-'));
	try {
		await performMounts(mounts, made);
	} catch (error) {
		await rmdir(made);
		throw error;
	}
	return {
		path: made,
		async [Symbol.asyncDispose]() {
			await unmountAll(made, UMOUNT.DETACH);
			await rmdir(made);
		},
	};
}
