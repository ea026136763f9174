import {once} from 'node:events';
import {connect, constants, type ClientHttp2Session} from 'node:http2';
import {createConnection} from 'node:net';
import test from 'ava';
import {ContentDefinition} from '../../api/gen/services/content/v1/content.ts';
import {CreateNamespaceRequest, NamespacesDefinition} from '../../api/gen/services/namespaces/v1/namespace.ts';
import {grpcService} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {MessageReader} from '../../plugins/grpc-server/message-reader.ts';
import {parseTimeout, percentEncode, readHeaders} from '../../plugins/grpc-server/request-headers.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';

/** What a client sees that speaks HTTP/2 and knows nothing of gRPC. */
interface Seen {
	readonly headers: Readonly<Record<string, unknown>>;
	readonly trailers: Readonly<Record<string, unknown>>;
	readonly body: Buffer;
	readonly dataFrames: number;
}

async function session(address: string): Promise<ClientHttp2Session & AsyncDisposable> {
	const client = connect('http://localhost', {createConnection: () => createConnection(address)});
	await once(client, 'connect');
	return Object.assign(client, {
		[Symbol.asyncDispose]: async () => {
			client.close();
			await once(client, 'close');
		},
	});
}

async function call(client: ClientHttp2Session, path: string, parts: readonly Buffer[], headers: Readonly<Record<string, string>> = {}): Promise<Seen> {
	const stream = client.request({':method': 'POST', ':path': path, 'content-type': 'application/grpc', 'te': 'trailers', ...headers});
	let seen: Readonly<Record<string, unknown>> = {};
	let trailers: Readonly<Record<string, unknown>> = {};
	const chunks: Buffer[] = [];
	stream.on('response', received => {
		seen = received;
	});
	stream.on('trailers', received => {
		trailers = received;
	});
	stream.on('data', (chunk: Buffer) => chunks.push(chunk));
	const ended = once(stream, 'close');
	for (const part of parts) {
		stream.write(part);
		// So that each part is a DATA frame of its own.
		await new Promise(resolve => setTimeout(resolve, 10));
	}
	stream.end();
	await ended;
	return {headers: seen, trailers, body: Buffer.concat(chunks), dataFrames: chunks.length};
}

function frame(message: Uint8Array, flag = 0): Buffer {
	const prefix = Buffer.alloc(5);
	prefix[0] = flag;
	prefix.writeUInt32BE(message.byteLength, 1);
	return Buffer.concat([prefix, message]);
}

const CREATE = `/${NamespacesDefinition.fullName}/Create`;
const request = frame(CreateNamespaceRequest.encode({namespace: {name: 'n', labels: {key: 'v'.repeat(300)}}}).finish());
const echo = grpcService(NamespacesDefinition, {create: async ({namespace}) => ({namespace})});

test('an answer is headers, one message and trailers', async t => {
	await using room = await GrpcRoom.open([echo]);
	await using client = await session(room.address);
	const {headers, trailers, body} = await call(client, CREATE, [request]);
	t.like(headers, {':status': 200, 'content-type': 'application/grpc'});
	t.like(trailers, {'grpc-status': '0'});
	t.deepEqual(body, request);
});

test('a message may come in any pieces', async t => {
	await using room = await GrpcRoom.open([echo]);
	await using client = await session(room.address);
	for (const cuts of [[1], [4, 5], [5, 6], [3, 100, 200]]) {
		const parts = [0, ...cuts].map((from, index) => request.subarray(from, cuts[index]));
		t.deepEqual((await call(client, CREATE, parts)).body, request, String(cuts));
	}
});

test('an error is one block of headers, its words percent-encoded', async t => {
	await using room = await GrpcRoom.open([grpcService(NamespacesDefinition, {
		async create() {
			throw new KeelsonError('NOT_FOUND', '100 % of "ü"\n: not found');
		},
	})]);
	await using client = await session(room.address);
	const {headers, body} = await call(client, CREATE, [request]);
	t.like(headers, {':status': 200, 'grpc-status': '5', 'grpc-message': '100 %25 of "%C3%BC"%0A: not found'});
	t.is(body.byteLength, 0);
});

test('what is no gRPC is refused as HTTP says', async t => {
	await using room = await GrpcRoom.open([echo]);
	await using client = await session(room.address);
	t.like((await call(client, CREATE, [], {'content-type': 'text/plain'})).headers, {':status': 415});
});

test('messages that are missing, cut short or compressed are refused in words', async t => {
	await using room = await GrpcRoom.open([echo]);
	await using client = await session(room.address);
	t.like((await call(client, CREATE, [])).headers, {'grpc-status': '3', 'grpc-message': 'a call has no message: invalid argument'});
	t.like((await call(client, CREATE, [request.subarray(0, 20)])).headers, {'grpc-status': '3'});
	t.like((await call(client, CREATE, [frame(Buffer.from('x'), 1)])).headers, {'grpc-status': '12'});
	t.deepEqual((await call(client, CREATE, [request])).body, request);
});

test('who and what is not served is said', async t => {
	await using room = await GrpcRoom.open([echo]);
	await using client = await session(room.address);
	t.is((await call(client, `/${NamespacesDefinition.fullName}/Nothing`, [request])).headers['grpc-message'], `unknown method Nothing for service ${NamespacesDefinition.fullName}`);
	t.is((await call(client, '/no.Service/Get', [request])).headers['grpc-message'], 'unknown service no.Service');
	t.is((await call(client, '/', [request])).headers['grpc-status'], '12');
});

test('a client that sends on after its answer is let do so for a moment, then cut', async t => {
	await using room = await GrpcRoom.open([grpcService(ContentDefinition, {
		async *write() {
			yield {action: 0, startedAt: undefined, updatedAt: undefined, offset: 7n, total: 0n, digest: ''};
		},
	})]);
	await using client = await session(room.address);
	const stream = client.request({':method': 'POST', ':path': `/${ContentDefinition.fullName}/Write`, 'content-type': 'application/grpc', 'te': 'trailers'});
	const trailers = once(stream, 'trailers');
	stream.on('error', () => {});
	stream.resume();
	const sending = setInterval(() => stream.write(Buffer.alloc(100_000)), 20);
	const began = performance.now();
	t.like((await trailers)[0], {'grpc-status': '0'});
	await once(stream, 'close');
	clearInterval(sending);
	t.true(performance.now() - began < 5000);
	t.is(stream.rstCode, constants.NGHTTP2_NO_ERROR);
});

test('messages are found in pieces of any size, and no more than one is kept', t => {
	const reader = new MessageReader(100);
	const push = (bytes: Buffer): string[] => [...reader.push(bytes)].map(parts => Buffer.concat(parts).toString());
	const two = Buffer.concat([frame(Buffer.from('one')), frame(Buffer.from('two')), Buffer.from([0, 0])]);
	t.deepEqual(push(two), ['one', 'two']);
	t.true(reader.isInside);
	t.deepEqual(push(Buffer.from([0, 0, 1, 65])), ['A']);
	t.false(reader.isInside);
	t.deepEqual(push(frame(Buffer.alloc(0))), ['']);
	const messages = ['', 'a', 'one that is longer', 'x'.repeat(100), ''];
	const all = Buffer.concat(messages.map(text => frame(Buffer.from(text))));
	for (let size = 1; size <= all.length; size++) {
		const found: string[] = [];
		for (let at = 0; at < all.length; at += size) {
			found.push(...push(all.subarray(at, at + size)));
		}
		t.deepEqual(found, messages);
		t.false(reader.isInside);
	}
	// In place: what has come is not copied.
	const [parts = []] = [...reader.push(frame(Buffer.from('ab')).subarray(0, 6)), ...reader.push(Buffer.from('b\0'))];
	t.deepEqual(parts.map(String), ['a', 'b']);
	t.deepEqual(push(Buffer.alloc(4)), ['']);
	t.throws(() => [...reader.push(frame(Buffer.alloc(101)).subarray(0, 5))], {code: 'RESOURCE_EXHAUSTED', message: /101 vs. 100/});
});

test('timeouts have the units of gRPC', t => {
	t.deepEqual(['1H', '2M', '3S', '4m', '5000u', '6000000n', '99999999H'].map(parseTimeout), [3_600_000, 120_000, 3000, 4, 5, 6, 2 ** 31 - 1]);
	t.deepEqual([undefined, '', '1', 'S', '123456789S', '1.5S', '-1S', '1s'].map(parseTimeout), Array.from({length: 8}, () => undefined));
});

test('of a header that comes twice the first counts, and binary ones are passed over', t => {
	const {headers, timeoutMs} = readHeaders([':path', '/x', 'a', '1', 'a', '2', 'b-bin', 'AA==', 'grpc-timeout', '1S']);
	t.deepEqual([...headers], [['a', '1'], ['grpc-timeout', '1S']]);
	t.is(timeoutMs, 1000);
	t.is(percentEncode('a%~ é'), 'a%25~ %C3%A9');
});
