/** Mounts that the daemon performs and remembers, on this machine; and the handler of loop devices. */

import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {MountHandler, MountManager} from '../../contracts/mount-manager/mount-manager.ts';
import {all, definePlugin, one} from '../../kernel/index.ts';
import {Database} from '../../lib/sqlite/database.ts';
import {LoopHandler} from './loop-handler.ts';
import {LocalMountManager} from './manager.ts';
import {migrations} from './schema.ts';

const loop = definePlugin({
	id: 'io.containerd.mount-handler.v1.loop',
	provides: MountHandler,
	requires: {},
	config: z.strictObject({}),
	init: () => new LoopHandler(),
});

const manager = definePlugin({
	// As containerd's clients and dashboards read it; there is no bolt in it.
	id: 'io.containerd.mount-manager.v1.bolt',
	provides: MountManager,
	requires: {metadata: one(Metadata), handlers: all(MountHandler)},
	config: z.strictObject({
		roots: z.array(z.string().startsWith('/')).default([]).describe('below these mkfs and mkdir may make files and directories, besides below the daemon\'s root and in active mounts'),
		mkfs_bytes_max: z.int().min(1).default(2 ** 40).describe('the largest file that mkfs makes; it is sparse'),
	}),
	async init({config: {roots, mkfs_bytes_max: mkfsBytesMax}, services: {metadata, handlers}, state, daemon, lifetime, log}) {
		// In the state, as the mounts are: neither outlives the machine, so no commit need wait for the disk.
		const database = lifetime.use(new Database({path: path.join(state, 'mounts.sqlite'), migrations, isDurable: false}));
		const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
		const made = lifetime.use(await LocalMountManager.open({
			database, boot, mkfsBytesMax, handlers, metadata, log, targets: path.join(state, 't'), roots: [daemon.root, ...roots],
		}));
		lifetime.use(metadata.register(made));
		return made;
	},
});

export const plugin = [loop, manager];
