import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {contentSuite} from '../../contracts/content/content.suite.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import {diffSuite} from '../../contracts/diff/diff.suite.ts';
import {scopeOf, type GrpcService} from '../../contracts/grpc/grpc.ts';
import {snapshotSuite} from '../../contracts/snapshot/snapshot.suite.ts';
import type {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {BlobDirectory} from '../../plugins/content-local/blob-directory.ts';
import {IngestDirectory} from '../../plugins/content-local/ingest-directory.ts';
import {IngestWorker} from '../../plugins/content-local/ingest-worker-client.ts';
import {LocalContentStore} from '../../plugins/content-local/store.ts';
import {contentService} from '../../plugins/grpc-content/service.ts';
import {diffService} from '../../plugins/grpc-diff/service.ts';
import {snapshotsService} from '../../plugins/grpc-snapshots/service.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {ContentProxy} from '../../plugins/proxy-grpc/content-proxy.ts';
import {DiffProxy} from '../../plugins/proxy-grpc/diff-proxy.ts';
import {SnapshotProxy} from '../../plugins/proxy-grpc/snapshot-proxy.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {MemorySnapshotter} from '../helpers/memory-snapshot.ts';
import {createDiffer} from '../helpers/tar-differ.ts';
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

// One after another: each has threads and a store of its own, and all at once would hold up the one that measures time.
diffSuite(test.serial, {
	name: 'tar, behind a socket',
	async create() {
		const differ = await createDiffer('builtin');
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-suite-'));
		const worker = new IngestWorker();
		const [blobs, ingests] = [await BlobDirectory.open(path.join(directory, 'blobs')), await IngestDirectory.open(path.join(directory, 'ingest'))];
		// Layers of many megabytes, with labels: on disk, as the daemon has them.
		const house = sqliteInMemory({content: new LocalContentStore({blobs, ingests, worker})});
		await house.namespaces.create({name: 'default', labels: {}});
		const {content} = house.scope({namespace: 'default'});
		const service = diffService({differs: [differ], syncFs: false, contentFor: () => content});
		const kept = new AsyncDisposableStack();
		kept.defer(async () => rm(directory, {recursive: true, force: true}));
		kept.use(worker);
		kept.use(house);
		kept.use(differ);
		return alsoClosing(await behindSocket(service, connection => new DiffProxy(connection, content)), kept);
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
