import {z} from 'zod';
import {ContentStore} from '../../contracts/content/content.ts';
import {Differ} from '../../contracts/diff/diff.ts';
import {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {definePlugin, KeelsonError, one, type Plugin} from '../../kernel/index.ts';
import {Connection} from './connection.ts';
import {ContentProxy} from './content-proxy.ts';
import {DiffProxy} from './diff-proxy.ts';
import {SnapshotProxy} from './snapshot-proxy.ts';

/** The namespace in which a peer is asked: ours has put the client's into names and labels already. */
const HEADERS = {'containerd-namespace': 'default'};

const proxyTable = z.record(z.string(), z.looseObject({
	type: z.string(),
	address: z.string().min(1),
	exports: z.record(z.string(), z.string()).optional(),
	capabilities: z.array(z.string()).optional(),
})).default({});

type Entry = z.output<typeof proxyTable>[string];

/**
 * A plugin for each entry of `[proxy_plugins]`: it answers for a snapshotter, a content store or a differ on a socket of another process. Throws
 * INVALID_ARGUMENT for an entry of another type.
 */
export function proxyPlugins(daemon: Readonly<Record<string, unknown>>): readonly Plugin[] {
	return Object.entries(proxyTable.parse(daemon['proxy_plugins'])).map(([name, entry]) => proxyPlugin(name, entry));
}

function proxyPlugin(name: string, {type, address, exports = {}, capabilities = []}: Entry): Plugin {
	const common = {config: z.strictObject({}), exports: {...exports, address}, capabilities};
	const connect = (): Connection => new Connection({address, headers: HEADERS});
	switch (type) {
		case 'snapshot':
			return definePlugin({
				...common, id: `io.containerd.snapshotter.v1.${name}`, provides: Snapshotter, requires: {},
				init: ({lifetime}) => lifetime.use(new SnapshotProxy(connect(), name)),
			});
		case 'content':
			return definePlugin({
				...common, id: `io.containerd.content.v1.${name}`, provides: ContentStore, requires: {},
				init: ({lifetime}) => lifetime.use(new ContentProxy(connect())),
			});
		case 'diff':
			return definePlugin({
				...common, id: `io.containerd.differ.v1.${name}`, provides: Differ, requires: {content: one(ContentStore)},
				init: ({lifetime, services}) => lifetime.use(new DiffProxy(connect(), services.content)),
			});
		default:
			throw new KeelsonError('INVALID_ARGUMENT', `proxy plugin ${name} is of type ${JSON.stringify(type)}, expected snapshot, content or diff`);
	}
}
