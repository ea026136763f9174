/** Network namespaces that are created, named, and left for someone else to populate. */

import path from 'node:path';
import * as z from 'zod';
import {Network, NetworkNamespaces} from '../../contracts/network/network.ts';
import {definePlugin} from '../../kernel/index.ts';
import {NoNetwork} from './no-network.ts';
import {PinnedNamespaces} from './pinned-namespaces.ts';

/** The table [plugins."io.keelson.netns.v1.pinned"]. */
const config = z.strictObject({
	directory: z.string().default('').describe('where namespaces are pinned; by default, netns/ in the daemon\'s state'),
	spare_seconds: z.number().min(0).max(3600).default(60).describe('how long a namespace that was made ahead waits for the next container; 0 for none'),
});

const pinned = definePlugin({
	id: 'io.keelson.netns.v1.pinned',
	provides: NetworkNamespaces,
	requires: {},
	config,
	init: async ({config: {directory, spare_seconds: spareSeconds}, daemon, lifetime, log}) => lifetime.use(await PinnedNamespaces.open(directory || path.join(daemon.state, 'netns'), {
		spareMs: spareSeconds * 1000,
		failed: error => log.debug('no network namespace could be made ahead', {error}),
	})),
});

const none = definePlugin({
	id: 'io.keelson.network.v1.none',
	provides: Network,
	requires: {},
	config: z.strictObject({}),
	init: () => new NoNetwork(),
});

export const plugin = [pinned, none];
