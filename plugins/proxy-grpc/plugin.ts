/** Snapshotters, content stores and differs of other processes, which `[proxy_plugins]` names. */

import {z} from 'zod';
import {ContentStore} from '../../contracts/content/content.ts';
import {Differ} from '../../contracts/diff/diff.ts';
import {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {definePlugin, definePlugins, one, type Plugin} from '../../kernel/index.ts';
import type {Connection} from './connection.ts';

/**
 * The namespace in which snapshotters and content stores are asked, whoever the caller is, unlike containerd's proxies, which pass on the caller's.
 * What they keep is kept for all our namespaces in one: metadata gives each snapshot a key of its own (`namespace/number/name`), lets namespaces
 * share blobs, and collects by listing everything. A peer that tells namespaces apart would hide from that what it was given in another. A differ
 * keeps nothing, and reads and writes content as the caller sees it: it is asked in the caller's. Not `default`, which a peer's own clients use:
 * what our collector finds and does not know, it removes.
 */
const HEADERS = {'containerd-namespace': 'keelson'};

const entry = z.looseObject({
	type: z.enum(['snapshot', 'content', 'diff'], {error: ({input}) => `is ${JSON.stringify(input)}, expected "snapshot", "content" or "diff"`}),
	address: z.string().min(1, 'is empty, expected the path of a socket, or unix:///path, or dns:///host:port'),
	exports: z.record(z.string(), z.string()).default({}),
	capabilities: z.array(z.string()).default([]),
});

/** Each entry becomes a plugin of the name that it has; one that is wrong is refused with its place, and the others stay. */
export const plugin = definePlugins((config, refuse) => {
	const plugins: Plugin[] = [];
	for (const [name, given] of Object.entries(z.record(z.string(), z.unknown()).default({}).parse(config['proxy_plugins']))) {
		const {success, data, error} = entry.safeParse(given);
		if (success) {
			plugins.push(proxyPlugin(name, data));
		}
		for (const {path, message} of error?.issues ?? []) {
			refuse(['proxy_plugins', name, ...path.map(String)], message);
		}
	}
	return plugins;
});

function proxyPlugin(name: string, {type, address, exports, capabilities}: z.output<typeof entry>): Plugin {
	// What speaks gRPC is loaded where there is somebody to speak to: it would be a tenth of the daemon's start.
	const connect = async (): Promise<Connection> => {
		const {Connection} = await import('./connection.ts');
		return new Connection({address, headers: HEADERS});
	};
	const common = {config: z.strictObject({}), exports: {...exports, address}, capabilities};
	switch (type) {
		case 'snapshot':
			return definePlugin({
				...common, id: `io.containerd.snapshotter.v1.${name}`, provides: Snapshotter, requires: {},
				async init({lifetime}) {
					const {SnapshotProxy} = await import('./snapshot-proxy.ts');
					return lifetime.use(new SnapshotProxy(await connect(), name));
				},
			});
		case 'content':
			return definePlugin({
				...common, id: `io.containerd.content.v1.${name}`, provides: ContentStore, requires: {},
				async init({lifetime}) {
					const {ContentProxy} = await import('./content-proxy.ts');
					return lifetime.use(new ContentProxy(await connect()));
				},
			});
		case 'diff':
			return definePlugin({
				...common, id: `io.containerd.differ.v1.${name}`, provides: Differ, requires: {content: one(ContentStore)},
				async init({lifetime, services}) {
					const {DiffProxy} = await import('./diff-proxy.ts');
					return lifetime.use(new DiffProxy(await connect(), services.content));
				},
			});
	}
}
