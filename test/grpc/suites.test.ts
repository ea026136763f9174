import test from 'ava';
import {contentSuite} from '../../contracts/content/content.suite.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import {scopeOf, type GrpcService} from '../../contracts/grpc/grpc.ts';
import {snapshotSuite} from '../../contracts/snapshot/snapshot.suite.ts';
import type {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {contentService} from '../../plugins/grpc-content/service.ts';
import {snapshotsService} from '../../plugins/grpc-snapshots/service.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {ContentProxy} from '../../plugins/proxy-grpc/content-proxy.ts';
import {SnapshotProxy} from '../../plugins/proxy-grpc/snapshot-proxy.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {MemorySnapshotter} from '../helpers/memory-snapshot.ts';
import {sqliteInMemory} from '../metadata/sqlite-in-memory.ts';

contentSuite(test, {
	name: 'memory, behind a socket',
	supports: {labels: true},
	async create() {
		const store = new MemoryContentStore();
		return behindSocket<ContentStore & AsyncDisposable>(contentService(() => store), connection => new ContentProxy(connection));
	},
});

contentSuite(test, {
	name: 'metadata over memory, behind a socket',
	supports: {labels: true},
	async create() {
		const house = sqliteInMemory();
		const service = contentService(context => house.scope(scopeOf(context)).content);
		return alsoClosing(await behindSocket<ContentStore & AsyncDisposable>(service, connection => new ContentProxy(connection)), house);
	},
});

snapshotSuite(test, {
	name: 'metadata over memory, behind a socket',
	supports: {mountable: false, rebase: true},
	async create() {
		const house = sqliteInMemory();
		const service = snapshotsService((context, name) => house.scope(scopeOf(context)).snapshotter(name));
		return alsoClosing(await behindSocket<Snapshotter & AsyncDisposable>(service, connection => new SnapshotProxy(connection, 'memory')), house);
	},
});

snapshotSuite(test, {
	name: 'memory, behind a socket',
	supports: {mountable: false, rebase: true},
	async create() {
		const snapshotter = new MemorySnapshotter();
		return behindSocket<Snapshotter & AsyncDisposable>(snapshotsService(() => snapshotter), connection => new SnapshotProxy(connection, 'memory'));
	},
});

/** The proxy of a service; with it goes the server. */
async function behindSocket<T extends AsyncDisposable>(service: GrpcService, proxyOf: (connection: Connection) => T): Promise<T> {
	const room = await GrpcRoom.open([service]);
	return alsoClosing(proxyOf(new Connection({address: room.address, headers: {'containerd-namespace': 'default'}})), room);
}

function alsoClosing<T extends AsyncDisposable>(first: T, second: AsyncDisposable): T {
	const close = first[Symbol.asyncDispose].bind(first);
	first[Symbol.asyncDispose] = async () => {
		await close();
		await second[Symbol.asyncDispose]();
	};
	return first;
}
