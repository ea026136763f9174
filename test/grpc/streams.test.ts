import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {StreamInit, StreamingDefinition} from '../../api/gen/services/streaming/v1/streaming.ts';
import {TransferDefinition} from '../../api/gen/services/transfer/v1/transfer.ts';
import {ImageStore} from '../../api/gen/types/transfer/imagestore.ts';
import {ImageExportStream, ImageImportStream} from '../../api/gen/types/transfer/importexport.ts';
import {Progress} from '../../api/gen/types/transfer/progress.ts';
import {AuthRequest, AuthResponse, AuthType, OCIRegistry} from '../../api/gen/types/transfer/registry.ts';
import {Data, WindowUpdate} from '../../api/gen/types/transfer/streaming.ts';
import type {Credentials} from '../../contracts/fetch/fetch.ts';
import type {Any} from '../../contracts/oci/any.ts';
import type {Transfer, TransferRequest} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {streamingService} from '../../plugins/grpc-streaming/service.ts';
import {transferService} from '../../plugins/grpc-transfer/service.ts';
import type {DuplexCall} from '../../plugins/proxy-grpc/duplex-call.ts';
import {LocalStreamManager} from '../../plugins/stream-manager/manager.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';

type Call = DuplexCall<Any, Any>;

/** The contract in memory: an archive becomes an archive, and of a registry it asks credentials. Everything else it does not know. */
class EchoTransfer implements Transfer {
	readonly requests: TransferRequest[] = [];
	readonly credentials: (Credentials | undefined)[] = [];

	async transfer(request: TransferRequest): Promise<readonly never[]> {
		this.requests.push(request);
		const {source, destination, progress, signal} = request;
		progress?.({event: 'begun', name: 'echo', parents: ['above'], progress: 0, total: 7});
		if (source.kind === 'import' && destination.kind === 'export') {
			for await (const chunk of source.bytes) {
				await destination.write(chunk);
			}
		} else if (source.kind === 'registry') {
			for (const host of ['one.test', 'two.test']) {
				this.credentials.push(await source.options?.credentials?.(host, signal, host === 'one.test' ? 'Basic realm="x", Bearer realm="y"' : ''));
			}
		} else {
			throw new KeelsonError('UNIMPLEMENTED', `transfer from ${source.kind} to ${destination.kind}`);
		}
		progress?.({event: 'complete', name: 'echo', parents: [], progress: 7, total: 7});
		return [];
	}
}

interface Room extends AsyncDisposable {
	readonly room: GrpcRoom;
	readonly streams: LocalStreamManager;
	readonly echo: EchoTransfer;
	readonly stream: (id: string) => Promise<Call>;
	readonly transfer: (source: Any | undefined, destination: Any | undefined, progressStream?: string) => Promise<unknown>;
}

async function open(): Promise<Room> {
	const streams = new LocalStreamManager();
	const echo = new EchoTransfer();
	const room = await GrpcRoom.open([streamingService(streams), transferService({transfer: echo, streams})]);
	return {
		room, streams, echo,
		async stream(id) {
			const call = room.client.duplex(StreamingDefinition.fullName, StreamingDefinition.methods.stream);
			await call.send({typeUrl: 'containerd.services.streaming.v1.StreamInit', value: StreamInit.encode({id}).finish()});
			const accepted = await call.receive();
			if (accepted?.typeUrl !== 'google.protobuf.Empty') {
				throw new Error(`stream ${id} was answered with ${String(accepted?.typeUrl)}`);
			}
			return call;
		},
		transfer: async (source, destination, progressStream = '') =>
			room.client.unary(TransferDefinition.fullName, TransferDefinition.methods.transfer, {source, destination, options: {progressStream}}),
		[Symbol.asyncDispose]: () => room[Symbol.asyncDispose](),
	};
}

const typed = <T>(name: string, codec: {encode(message: T): {finish(): Uint8Array}}, message: T): Any =>
	({typeUrl: `containerd.types.transfer.${name}`, value: codec.encode(message).finish()});
const importFrom = (stream: string): Any => typed('ImageImportStream', ImageImportStream, {stream, mediaType: '', forceCompress: false});
const exportTo = (stream: string): Any => typed('ImageExportStream', ImageExportStream,
	{stream, mediaType: '', platforms: [], allPlatforms: false, skipCompatibilityManifest: false, skipNonDistributable: false});

/** As containerd's client does it: no more than the other side has given room for. */
async function sendAs(call: Call, bytes: Uint8Array, chunkBytes: number): Promise<void> {
	let window = 0;
	for (let start = 0;;) {
		while (window <= 0) {
			const message = await call.receive();
			window += WindowUpdate.decode(message?.value ?? new Uint8Array()).update;
		}
		if (start >= bytes.byteLength) {
			call.end();
			return;
		}
		const data = bytes.subarray(start, start + Math.min(window, chunkBytes));
		await call.send(typed('Data', Data, {data}));
		start += data.byteLength;
		window -= data.byteLength;
	}
}

async function receiveAs(call: Call): Promise<Buffer> {
	const chunks: Uint8Array[] = [];
	let window = 0;
	for (;;) {
		if (window < 64 * 1024) {
			await call.send(typed('WindowUpdate', WindowUpdate, {update: 64 * 1024}));
			window += 64 * 1024;
		}
		const message = await call.receive();
		if (message === undefined) {
			return Buffer.concat(chunks);
		}
		const {data} = Data.decode(message.value);
		chunks.push(data);
		window -= data.byteLength;
	}
}

test('a stream joins two ends until either is done', async t => {
	await using streams = await open();
	const call = await streams.stream('s1');
	const inner = await streams.streams.get('default', 's1');
	await call.send({typeUrl: 'a', value: Buffer.from('1')});
	t.is((await inner.receive())?.typeUrl, 'a');
	await inner.send({typeUrl: 'b', value: Buffer.from('2')});
	t.is((await call.receive())?.typeUrl, 'b');
	await inner[Symbol.asyncDispose]();
	t.is(await call.receive(), undefined);
});

test('what a client has sent before it closed its side is read to the end', async t => {
	await using streams = await open();
	const call = await streams.stream('s1');
	const inner = await streams.streams.get('default', 's1');
	for (const typeUrl of ['a', 'b', 'c']) {
		await call.send({typeUrl, value: new Uint8Array()});
	}
	await call.close();
	t.deepEqual([(await inner.receive())?.typeUrl, (await inner.receive())?.typeUrl, (await inner.receive())?.typeUrl, await inner.receive()], ['a', 'b', 'c', undefined]);
	await t.throwsAsync(inner.send({typeUrl: 'd', value: new Uint8Array()}), {code: 'UNAVAILABLE'});
});

test('a stream that does not say its name, or takes another\'s, is refused', async t => {
	await using streams = await open();
	const call = streams.room.client.duplex(StreamingDefinition.fullName, StreamingDefinition.methods.stream);
	await call.send({typeUrl: 'something.else', value: new Uint8Array()});
	await t.throwsAsync(call.receive(), {code: 'INVALID_ARGUMENT', message: /StreamInit/});
	await using first = await streams.stream('same');
	await t.throwsAsync(streams.stream('same'), {code: 'ALREADY_EXISTS'});
	await first.close();
});

for (const size of [0, 1, 100_000, 3_000_000]) {
	test(`an archive of ${size} bytes goes through import and export as it is`, async t => {
		await using streams = await open();
		const [up, down] = [await streams.stream('up'), await streams.stream('down')];
		const bytes = Buffer.alloc(size, 'keelson');
		const [, got] = await Promise.all([sendAs(up, bytes, 32 * 1024), receiveAs(down), streams.transfer(importFrom('up'), exportTo('down'))]);
		t.true(got.equals(bytes));
	});
}

test('an import that sends something else is INVALID_ARGUMENT', async t => {
	await using streams = await open();
	const [up, down] = [await streams.stream('up'), await streams.stream('down')];
	await up.send({typeUrl: 'nonsense', value: new Uint8Array()});
	await t.throwsAsync(streams.transfer(importFrom('up'), exportTo('down')), {code: 'INVALID_ARGUMENT', message: /"nonsense", expected .*Data/});
	t.is((await down.receive()), undefined);
});

test('a client that closes an export early fails its transfer', async t => {
	await using streams = await open();
	const [up, down] = [await streams.stream('up'), await streams.stream('down')];
	const transfer = streams.transfer(importFrom('up'), exportTo('down'));
	await Promise.all([t.throwsAsync(transfer, {code: 'UNAVAILABLE'}), delay(100).then(async () => down.close()), sendAs(up, Buffer.alloc(100_000), 32 * 1024).catch(() => {})]);
});

test('progress is told on its stream, the last word before the answer', async t => {
	await using streams = await open();
	const [progress, down, up] = [await streams.stream('progress'), await streams.stream('down'), await streams.stream('up')];
	const [, , answer] = await Promise.all([sendAs(up, Buffer.from('x'), 10), receiveAs(down), streams.transfer(importFrom('up'), exportTo('down'), 'progress')]);
	t.deepEqual(answer, {});
	const told: Progress[] = [];
	for (let message = await progress.receive(); message !== undefined; message = await progress.receive()) {
		t.is(message.typeUrl, 'containerd.types.transfer.Progress');
		told.push(Progress.decode(message.value));
	}
	t.deepEqual(told.map(({event, name, parents, progress: done, total}) => ({event, name, parents, done, total})), [
		{event: 'begun', name: 'echo', parents: ['above'], done: 0n, total: 7n},
		{event: 'complete', name: 'echo', parents: [], done: 7n, total: 7n},
	]);
});

test('credentials are asked of the client, one host at a time', async t => {
	await using streams = await open();
	const auth = await streams.stream('auth');
	const resolver = {authStream: 'auth', headers: {'x-a': 'b'}, hostDir: '/hosts', defaultScheme: 'http', httpDebug: 0, logsStream: ''} as const;
	await streams.stream('down');
	const transfer = streams.transfer(typed('OCIRegistry', OCIRegistry, {reference: 'r.test/a:1', resolver}), exportTo('down'));
	const answers = [
		{authType: AuthType.CREDENTIALS, username: 'me', secret: 'pw', expireAt: undefined},
		{authType: AuthType.HEADER, username: '', secret: 'Bearer x', expireAt: undefined},
	];
	for (const [index, answer] of answers.entries()) {
		const {host, reference, wwwauthenticate} = AuthRequest.decode((await auth.receive())?.value ?? new Uint8Array());
		t.is(host, index === 0 ? 'one.test' : 'two.test');
		t.is(reference, 'r.test/a:1');
		t.deepEqual(wwwauthenticate, index === 0 ? ['Basic realm="x", Bearer realm="y"'] : []);
		await auth.send(typed('AuthResponse', AuthResponse, answer));
	}
	await transfer;
	t.deepEqual(streams.echo.credentials, [{username: 'me', secret: 'pw'}, {username: '', secret: '', header: 'Bearer x'}]);
	t.like(streams.echo.requests[0]?.source, {kind: 'registry', reference: 'r.test/a:1', options: {hostDirectory: '/hosts', defaultScheme: 'http', headers: new Map([['x-a', 'b']])}});
});

test('ends that are missing, unknown or malformed are refused in words', async t => {
	await using streams = await open();
	const store = typed('ImageStore', ImageStore, ImageStore.fromPartial({name: 'a'}));
	await t.throwsAsync(streams.transfer(store, undefined), {code: 'INVALID_ARGUMENT', message: /destination is missing/});
	await t.throwsAsync(streams.transfer({typeUrl: 'containerd.types.transfer.Nothing', value: new Uint8Array()}, store), {code: 'UNIMPLEMENTED', message: /source .*Nothing/});
	await t.throwsAsync(streams.transfer({typeUrl: `type.googleapis.com/${store.typeUrl}`, value: store.value}, store), {code: 'UNIMPLEMENTED'});
	await t.throwsAsync(streams.transfer({...store, value: Buffer.from([0x0a, 0x7f])}, store), {code: 'INVALID_ARGUMENT', message: /2 bytes are no .*ImageStore/});
	await t.throwsAsync(streams.transfer(store, store), {code: 'UNIMPLEMENTED', message: /from store to store/});
});
