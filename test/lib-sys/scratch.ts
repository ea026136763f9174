import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {mountsUnder} from '../../lib/sys/mount-table.ts';
import {unmount, UMOUNT} from '../../lib/sys/mount.ts';

/** A directory of its own; whatever is still mounted below it goes first, also after a failed test. */
export async function scratch(): Promise<{readonly path: string} & AsyncDisposable> {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-sys-'));
	return {
		path: directory,
		async [Symbol.asyncDispose]() {
			for (const {mountPoint} of await mountsUnder(directory)) {
				unmount(mountPoint, UMOUNT.DETACH);
			}
			await rm(directory, {recursive: true, force: true});
		},
	};
}

export async function countDescriptors(): Promise<number> {
	return (await readdir('/proc/self/fd')).length;
}
