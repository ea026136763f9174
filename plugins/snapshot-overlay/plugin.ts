/** Snapshots on overlayfs. */

import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {definePlugin, once} from '../../kernel/index.ts';
import {canMapOwners, findObstacle, neededMountOptions} from './overlay-support.ts';
import {SnapshotDirectories} from './snapshot-directories.ts';
import {SnapshotRecords} from './snapshot-records.ts';
import {OverlaySnapshotter} from './snapshotter.ts';

const config = z.strictObject({
	root_path: z.string().default('').describe('where snapshots are kept; by default, the plugin\'s own root'),
	upperdir_label: z.boolean().default(false).describe('show the directory of each snapshot\'s own changes as its label containerd.io/snapshot/overlay.upperdir'),
	sync_remove: z.boolean().default(false).describe('wait for the bytes of a removed snapshot to be gone; by default they go in the background'),
	slow_chown: z.boolean().default(false).describe('let clients change owners file by file where the kernel has no id-mapped mounts'),
	mount_options: z.array(z.string()).default([]).describe('further options of overlay mounts; not of binds'),
});

export const plugin = definePlugin({
	id: 'io.containerd.snapshotter.v1.overlayfs',
	provides: Snapshotter,
	requires: {},
	config,
	async init({config, root, container, lifetime, signal, log, status, skip}) {
		const place = config.root_path === '' ? root : config.root_path;
		status.export('io.containerd.snapshotter.v1.overlayfs', {root: place});
		await mkdir(place, {recursive: true, mode: 0o700});
		const obstacle = await findObstacle(place);
		if (obstacle !== undefined) {
			return skip(obstacle);
		}
		const mapsOwners = await canMapOwners(place);
		// In containerd's order. Clients map owners file by file only where it is allowed to be slow.
		status.enable('io.containerd.snapshotter.v1.overlayfs', [...mapsOwners ? ['remap-ids'] : [], ...config.slow_chown ? [] : ['only-remap-ids'], 'rebase']);
		const directories = lifetime.use(await SnapshotDirectories.open(place, log));
		const records = lifetime.use(new SnapshotRecords(path.join(place, 'snapshots.db')));
		const options = {
			mountOptions: await neededMountOptions(config.mount_options),
			mapsOwners,
			hasUpperdirLabel: config.upperdir_label,
			isRemoveSynchronous: config.sync_remove,
			lastId: Math.max(records.highestId(), await directories.highestId()),
		};
		container.register(OverlaySnapshotter, {useFactory: once(() => new OverlaySnapshotter({records, directories, ...options}))});
		const snapshotter = container.resolve(OverlaySnapshotter);
		const cleanup = snapshotter.cleanup(signal).catch((error: unknown) => {
			if (!signal.aborted) {
				log.warn('cannot clean up after removed snapshots', {error});
			}
		});
		// Ended before the records that it reads are closed.
		lifetime.defer(() => cleanup);
		return snapshotter;
	},
});
