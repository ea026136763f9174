import {readFile, readlink, symlink, unlink, writeFile} from 'node:fs/promises';
import type {MountHandler} from '../../contracts/mount-manager/mount-manager.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {attachLoop, detachLoop, keepLoop, loopBacking} from '../../lib/sys/loop-device.ts';

/**
 * Makes a file a block device: the target is a link to it, and beside it stands what the device must show to be ours. Options: `ro`, `direct-io`; others
 * are for whoever mounts the device.
 */
export class LoopHandler implements MountHandler {
	// The device is clearing itself until there is a link to it: a daemon that is killed in between leaves none.
	async mount({source, options}: Mount, target: string): Promise<Readonly<Record<string, string>>> {
		using device = await attachLoop(source, {isReadOnly: options.includes('ro'), isDirect: options.includes('direct-io')});
		await writeFile(backingOf(target), device.backing);
		await symlink(device.path, target);
		await keepLoop(device);
		return {device: device.path};
	}

	async isMounted(target: string): Promise<boolean> {
		const [device, backing] = await Promise.all([ifThere(readlink(target)), ifThere(readFile(backingOf(target), 'utf8'))]);
		return device !== undefined && backing !== undefined && await loopBacking(device) === backing;
	}

	async unmount(target: string): Promise<void> {
		const [device, backing] = await Promise.all([ifThere(readlink(target)), ifThere(readFile(backingOf(target), 'utf8'))]);
		if (device !== undefined) {
			if (backing !== undefined) {
				await detachLoop({path: device, backing});
			}
			await unlink(target);
		}
		await ifThere(unlink(backingOf(target)));
	}
}

function backingOf(target: string): string {
	return `${target}.backing`;
}

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
	try {
		return await reading;
	} catch (error) {
		if (errnoOf(error) === 'ENOENT') {
			return undefined;
		}
		throw error;
	}
}
