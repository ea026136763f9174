import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm, stat, writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {ContentDefinition} from '../../api/gen/services/content/v1/content.ts';
import {NamespacesDefinition} from '../../api/gen/services/namespaces/v1/namespace.ts';
import {VersionDefinition} from '../../api/gen/services/version/v1/version.ts';
import {grpcService, namespaceOf} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {TtrpcClient} from '../../lib/ttrpc/client.ts';
import {versionService} from '../../plugins/grpc-version/service.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {Daemon} from '../helpers/daemon.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {until} from '../helpers/until.ts';

const {version} = VersionDefinition.methods;
const {get, list} = NamespacesDefinition.methods;
const NAMESPACES = NamespacesDefinition.fullName;
const CONTENT = ContentDefinition.fullName;

test('a client is told the version', async t => {
	await using room = await GrpcRoom.open([versionService({version: '1.2.3', revision: 'abc'})]);
	t.deepEqual(await room.client.unary(VersionDefinition.fullName, version, {}), {version: '1.2.3', revision: 'abc'});
});

test('of a namespace that comes twice the first counts, over ttrpc as well', async t => {
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {delete: async (_, context) => {
		throw new KeelsonError('NOT_FOUND', namespaceOf(context));
	}}, {ttrpc: true})]);
	await using client = new TtrpcClient(connect(room.ttrpcAddress));
	const call = {service: NAMESPACES, method: 'Delete', payload: Buffer.alloc(0), timeoutMs: 30_000};
	await t.throwsAsync(client.unary({...call, metadata: {'containerd-namespace-ttrpc': ['inner', 'outer']}}), {code: 'NOT_FOUND', message: /inner/});
});

test('sockets belong to whom the configuration names', async t => {
	t.timeout(60_000);
	for (const [text, ttrpc] of [
		// The other socket follows the first in formats before the fourth.
		['version = 2\n[grpc]\nuid = 1234\ngid = 4321\n', {uid: 1234, gid: 4321}],
		['version = 4\n[plugins."io.containerd.server.v1.grpc"]\nuid = 1234\ngid = 4321\n', {uid: 0, gid: 0}],
		['version = 4\n[plugins."io.containerd.server.v1.grpc"]\nuid = 1234\ngid = 4321\n[plugins."io.containerd.server.v1.ttrpc"]\nuid = 77\ngid = 88\n', {uid: 77, gid: 88}],
	] as const) {
		await using daemon = await Daemon.start(keelson({config: text}));
		const {address} = daemon.places;
		const {uid, gid, mode} = await stat(address);
		t.deepEqual({uid, gid, mode: mode & 0o777}, {uid: 1234, gid: 4321, mode: 0o660}, text);
		t.like(await stat(`${address}.ttrpc`), ttrpc, text);
	}
});

test('a service and a method that nobody provides are UNIMPLEMENTED', async t => {
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {})]);
	await t.throwsAsync(room.client.unary(NAMESPACES, get, {}), {code: 'UNIMPLEMENTED'});
	await t.throwsAsync(room.client.unary(CONTENT, ContentDefinition.methods.info, {}), {code: 'UNIMPLEMENTED'});
});

test('an error keeps its code, and its message ends with the words of its class', async t => {
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {
		async get({name}) {
			throw new KeelsonError(name === '1' ? 'NOT_FOUND' : 'UNKNOWN', name === '1' ? 'image "x"' : 'runc: "quoted" ü\nsecond line \ud800');
		},
	})]);
	await t.throwsAsync(room.client.unary(NAMESPACES, get, {name: '1'}), {code: 'NOT_FOUND', message: 'image "x": not found'});
	await t.throwsAsync(room.client.unary(NAMESPACES, get, {name: '2'}), {code: 'UNKNOWN', message: 'runc: "quoted" ü\nsecond line \ufffd'});
});

test('what nobody foresaw is UNKNOWN for the client, logged, and harms no other call', async t => {
	await using room = await GrpcRoom.open([versionService({version: '1', revision: ''}), grpcService(NamespacesDefinition, {
		get() {
			throw new TypeError('x is not a function');
		},
		// Not what the codec can encode.
		list: async () => ({namespaces: 7}) as never,
	})]);
	await t.throwsAsync(room.client.unary(NAMESPACES, get, {}), {code: 'UNKNOWN', message: 'x is not a function'});
	await t.throwsAsync(room.client.unary(NAMESPACES, list, {}), {code: 'UNKNOWN'});
	t.is(room.errors.length, 2);
	t.is((await room.client.unary(VersionDefinition.fullName, version, {})).version, '1');
});

test('a missing namespace is FAILED_PRECONDITION, a malformed one INVALID_ARGUMENT', async t => {
	const service = grpcService(NamespacesDefinition, {get: async (_, context) => ({namespace: {name: namespaceOf(context), labels: {}}})});
	await using bare = await GrpcRoom.open([service], {headers: {}});
	await t.throwsAsync(bare.client.unary(NAMESPACES, get, {}), {code: 'FAILED_PRECONDITION', message: /^namespace is required/});
	await using odd = await GrpcRoom.open([service], {headers: {'containerd-namespace': '../etc'}});
	await t.throwsAsync(odd.client.unary(NAMESPACES, get, {}), {code: 'INVALID_ARGUMENT'});
	await using good = await GrpcRoom.open([service]);
	t.is((await good.client.unary(NAMESPACES, get, {})).namespace?.name, 'default');
});

test('a request that is no such message is INVALID_ARGUMENT', async t => {
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {get: async () => ({namespace: undefined})})]);
	const broken = {...get, requestType: {...get.requestType, encode: () => ({finish: () => Buffer.from([0x0a, 0xff])})}};
	await t.throwsAsync(room.client.unary(NAMESPACES, broken, {}), {code: 'INVALID_ARGUMENT', message: /2 bytes to .*Get is malformed/});
});

test('messages over the limit are RESOURCE_EXHAUSTED with both numbers, whichever way they go', async t => {
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {
		get: async ({name}) => ({namespace: {name: name === 'big' ? 'x'.repeat(2000) : '', labels: {}}}),
	})], {config: {max_recv_message_size: 1000, max_send_message_size: 1500}});
	await t.throwsAsync(room.client.unary(NAMESPACES, get, {name: 'x'.repeat(1100)}), {code: 'RESOURCE_EXHAUSTED', message: /1103.*1000/});
	await t.throwsAsync(room.client.unary(NAMESPACES, get, {name: 'big'}), {code: 'RESOURCE_EXHAUSTED', message: /20\d\d.*1500/});
});

test('17 MiB are too much by default, 15 MiB are not', async t => {
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {get: async ({name}) => ({namespace: {name: String(name.length), labels: {}}})})]);
	const fifteen = 15 * 1024 * 1024;
	t.is((await room.client.unary(NAMESPACES, get, {name: 'x'.repeat(fifteen)})).namespace?.name, String(fifteen));
	using large = new Connection({address: room.address, sendMax: 32 * 1024 * 1024});
	await t.throwsAsync(large.unary(NAMESPACES, get, {name: 'x'.repeat(17 * 1024 * 1024)}), {code: 'RESOURCE_EXHAUSTED', message: /17825\d{3}.*16777216/});
});

test('a client that goes away aborts the handler and returns the iteration', async t => {
	const seen: string[] = [];
	await using room = await GrpcRoom.open([grpcService(ContentDefinition, {
		async *read(_, {signal}) {
			try {
				signal.addEventListener('abort', () => seen.push(`aborted: ${(signal.reason as KeelsonError).code}`));
				for (;;) {
					yield {offset: 0n, data: Buffer.alloc(10)};
					await new Promise(resolve => setTimeout(resolve, 5));
				}
			} finally {
				seen.push('returned');
			}
		},
	})]);
	for await (const {data} of room.client.stream(CONTENT, ContentDefinition.methods.read, {})) {
		t.is(data.byteLength, 10);
		break;
	}
	await until('the handler has ended', () => seen.length === 2);
	t.deepEqual(seen.toSorted(), ['aborted: CANCELLED', 'returned']);
});

test('a stream is made no faster than its client reads', async t => {
	let made = 0;
	await using room = await GrpcRoom.open([grpcService(ContentDefinition, {
		async *read() {
			for (; made < 200; made++) {
				yield {offset: 0n, data: Buffer.alloc(1024 * 1024)};
			}
		},
	})]);
	let read = 0;
	for await (const _ of room.client.stream(CONTENT, ContentDefinition.methods.read, {})) {
		if (read++ === 0) {
			await new Promise(resolve => setTimeout(resolve, 500));
			t.true(made < 80, `${made} MiB were made for a client that has read one`);
		}
	}
	t.is(read, 200);
});

test('a deadline that passes is DEADLINE_EXCEEDED for client and handler', async t => {
	let reason: unknown;
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {
		async get(_, {signal}) {
			await once(signal, 'abort');
			reason = signal.reason;
			return {namespace: undefined};
		},
	})], {headers: {'grpc-timeout': '100m'}});
	await t.throwsAsync(room.client.unary(NAMESPACES, get, {}), {code: 'DEADLINE_EXCEEDED'});
	await until('the handler is told', () => reason !== undefined);
	t.is((reason as KeelsonError).code, 'DEADLINE_EXCEEDED');
});

test('a daemon that stops cuts streams and waits at once, and lets short calls end', async t => {
	const begun = Promise.withResolvers<void>();
	const release = Promise.withResolvers<void>();
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {
		async get() {
			begun.resolve();
			await release.promise;
			return {namespace: {name: 'done', labels: {}}};
		},
		list: async (_, {signal}) => once(signal, 'abort').then(() => ({namespaces: []})),
	}, {waits: ['List']}), grpcService(ContentDefinition, {
		async *read(_, {signal}) {
			yield {offset: 0n, data: Buffer.alloc(1)};
			await once(signal, 'abort');
		},
	})]);
	const short = room.client.unary(NAMESPACES, get, {});
	const wait = room.client.unary(NAMESPACES, list, {});
	const stream = room.client.stream(CONTENT, ContentDefinition.methods.read, {});
	await stream.next();
	await begun.promise;
	const stopped = room.stop();
	await Promise.all([
		t.throwsAsync(wait, {code: 'UNAVAILABLE', message: /stopping/}),
		t.throwsAsync(stream.next(), {code: 'UNAVAILABLE', message: /stopping/}),
	]);
	// At once: a short call is still under way, and has its time.
	release.resolve();
	t.is((await short).namespace?.name, 'done');
	await stopped;
	await t.throwsAsync(stat(room.address), {code: 'ENOENT'});
	await t.throwsAsync(stat(room.ttrpcAddress), {code: 'ENOENT'});
});

test('a call that does not end holds up a stop for no longer than its grace', async t => {
	const begun = Promise.withResolvers<void>();
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {get: async () => {
		begun.resolve();
		return new Promise(() => {});
	}})]);
	const call = t.throwsAsync(room.client.unary(NAMESPACES, get, {}), {code: 'UNAVAILABLE'});
	await begun.promise;
	const start = Date.now();
	await room.stop();
	await call;
	t.true(Date.now() - start < 10_000);
});

test('sockets are 0600', async t => {
	await using room = await GrpcRoom.open([]);
	for (const address of [room.address, room.ttrpcAddress]) {
		const {mode} = await stat(address);
		t.is(mode & 0o777, 0o600);
	}
});

test('the socket that a dead process left is replaced, one that is served is refused', async t => {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-stale-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	const address = path.join(directory, 'deep/er/k.sock');
	{
		await using first = await GrpcRoom.open([], {config: {address}});
		await t.throwsAsync(GrpcRoom.open([], {config: {address}}), {code: 'FAILED_PRECONDITION', message: /another process answers/});
		t.is((await stat(path.dirname(first.addresses[0] ?? ''))).mode & 0o777, 0o711);
	}
	const stale = path.join(directory, 'stale.sock');
	const dying = spawn(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`]);
	await once(dying, 'exit');
	t.true((await stat(stale)).isSocket());
	await using room = await GrpcRoom.open([versionService({version: '1', revision: ''})], {config: {address: stale}});
	t.deepEqual(room.addresses.slice(0, 1), [stale]);
	using client = new Connection({address: stale});
	t.is((await client.unary(VersionDefinition.fullName, version, {})).version, '1');
});

test('a file in the socket\'s place is left alone', async t => {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-file-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	const address = path.join(directory, 'k.sock');
	await writeFile(address, 'precious');
	await t.throwsAsync(GrpcRoom.open([], {config: {address}}), {code: 'FAILED_PRECONDITION', message: /no socket/});
});

test('garbage on the socket closes that connection and no other', async t => {
	await using room = await GrpcRoom.open([versionService({version: '1', revision: ''})]);
	const socket = connect(room.address);
	socket.on('error', () => {});
	socket.write(Buffer.alloc(4096, 'GET / nonsense\r\n'));
	socket.resume();
	await once(socket, 'close');
	t.is((await room.client.unary(VersionDefinition.fullName, version, {})).version, '1');
});

test('it also listens on TCP, where it is asked to', async t => {
	await using room = await GrpcRoom.open([versionService({version: '1', revision: ''})], {config: {tcp_address: '127.0.0.1:0'}});
	const address = room.addresses.find(each => each.startsWith('tcp://'))?.replace('tcp://', 'dns:') ?? '';
	using client = new Connection({address});
	t.is((await client.unary(VersionDefinition.fullName, version, {})).version, '1');
});

test('a method that two plugins serve is an error', async t => {
	const service = versionService({version: '1', revision: ''});
	await t.throwsAsync(GrpcRoom.open([service, service]), {code: 'ALREADY_EXISTS', message: /two plugins serve/});
});
