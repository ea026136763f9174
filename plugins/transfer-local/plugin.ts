/** Images from registries and archives into the store, and back, and files of containers: the room where fetch, content, diff and snapshots meet. */

import {z} from 'zod';
import {TreeCopy} from '../../contracts/copy/copy.ts';
import {Differ} from '../../contracts/diff/diff.ts';
import {Registry} from '../../contracts/fetch/fetch.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {parsePlatform} from '../../contracts/oci/platform.ts';
import {TaskManager} from '../../contracts/task/task.ts';
import {Transfer} from '../../contracts/transfer/transfer.ts';
import {all, definePlugin, maybe, one} from '../../kernel/index.ts';
import {LocalTransfer} from './transfer.ts';

const config = z.strictObject({
	max_concurrent_downloads: z.number().int().min(1).max(64).default(3).describe('layers of one image fetched at the same time'),
	max_concurrent_uploaded_layers: z.number().int().min(1).max(64).default(3).describe('layers of one image pushed at the same time'),
	max_concurrent_unpacks: z.number().int().min(1).max(64).default(8).describe('layers of one image unpacked at the same time, as far as there are threads; 1: one after the other'),
	config_path: z.string().default('').describe('directories with a hosts.toml for each registry host; empty: those of the fetch plugin'),
	check_platform_supported: z.boolean().default(false).describe('refuse to unpack for a platform that no unpack_config names'),
	unpack_config: z.array(z.strictObject({
		platform: z.string().default('').describe('os/architecture[/variant]; empty: the host\'s own'),
		snapshotter: z.string().default('overlayfs').describe('where images of that platform are unpacked to'),
		differ: z.string().default('walking').describe('what applies their layers'),
	})).default([]).describe('how images are unpacked; empty: the host\'s platform, overlayfs, walking'),
});

export const plugin = definePlugin({
	id: 'io.containerd.transfer.v1.local',
	provides: Transfer,
	requires: {registry: one(Registry), metadata: one(Metadata), differs: all(Differ), copy: maybe(TreeCopy), tasks: maybe(TaskManager)},
	config,

	init: ({config: table, services}) => new LocalTransfer(services, {
		concurrentDownloads: table.max_concurrent_downloads,
		concurrentUploads: table.max_concurrent_uploaded_layers,
		concurrentUnpacks: table.max_concurrent_unpacks,
		hostDirectory: table.config_path,
		checksPlatform: table.check_platform_supported,
		unpack: (table.unpack_config.length === 0 ? [{platform: '', snapshotter: 'overlayfs', differ: 'walking'}] : table.unpack_config)
			.map(({platform, snapshotter, differ}) => ({snapshotter, differ, ...(platform === '' ? {} : {platform: parsePlatform(platform)})})),
	}),
});
