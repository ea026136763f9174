import {once} from 'node:events';
import {closeSync} from 'node:fs';
import {mkdtemp, rm, stat} from 'node:fs/promises';
import {connect, createServer, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {duplexPair} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {KeelsonError} from '../../kernel/errors.ts';
import {DescriptorWatcher} from '../../lib/sys/descriptor-watcher.ts';
import {receiveDescriptors, sendDescriptors, socketPair} from '../../lib/sys/descriptors.ts';
import type {CallContext} from '../../lib/ttrpc/call.ts';
import {connectTtrpc, TtrpcClient} from '../../lib/ttrpc/client.ts';
import {dataBytesMax, encodeFrame, FRAME, readFrames} from '../../lib/ttrpc/frame.ts';
import {decodeResponse, encodeRequest} from '../../lib/ttrpc/messages.ts';
import {TtrpcServer, type ServerOptions} from '../../lib/ttrpc/server.ts';
import type {TtrpcService} from '../../lib/ttrpc/service.ts';

const service = 'test.Echo';
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

function echo(seen: string[] = [], contexts: CallContext[] = []): TtrpcService {
	return {
		name: service,
		methods: {
			Echo: {
				handle: (payload, context) => {
					seen.push(text(payload));
					contexts.push(context);
					return payload;
				},
			},
			Slow: {
				handle: async (payload, context) => {
					contexts.push(context);
					await sleep(Number(text(payload)), undefined, {signal: context.signal});
					return payload;
				},
			},
			Fail: {
				handle: payload => {
					throw text(payload) === '' ? new Error('plain failure') : new KeelsonError('NOT_FOUND', text(payload));
				},
			},
			Large: {handle: payload => Buffer.alloc(Number(text(payload)))},
			Count: {
				requestStream: false,
				responseStream: true,
				async* stream(requests) {
					for await (const request of requests) {
						for (let index = 0; index < Number(text(request)); index++) {
							yield Buffer.from(String(index));
						}
					}
				},
			},
			Join: {
				requestStream: true,
				responseStream: false,
				async* stream(requests) {
					yield Buffer.from((await Array.fromAsync(requests, text)).join('+'));
				},
			},
			Both: {
				requestStream: true,
				responseStream: true,
				async* stream(requests, context) {
					contexts.push(context);
					for await (const request of requests) {
						if (text(request) === 'fail') {
							throw new KeelsonError('ABORTED', 'as asked');
						}
						yield Buffer.concat([Buffer.from('>'), request]);
					}
				},
			},
		},
	};
}

async function serving(options: Partial<ServerOptions> = {}): Promise<{readonly path: string; readonly server: TtrpcServer; client(): Promise<TtrpcClient>} & AsyncDisposable> {
	const stack = new AsyncDisposableStack();
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-ttrpc-'));
	stack.defer(async () => rm(directory, {recursive: true}));
	const server = stack.use(new TtrpcServer({services: [echo()], ...options}));
	const socket = path.join(directory, 's');
	await server.listen(socket);
	return {
		path: socket,
		server,
		client: async () => stack.use(await connectTtrpc(socket)),
		[Symbol.asyncDispose]: async () => stack.disposeAsync(),
	};
}

test('a call is answered, its socket is for root alone, and goes with the server', async t => {
	await using house = await serving();
	t.is((await stat(house.path)).mode & 0o777, 0o600);
	const client = await house.client();
	t.is(text(await client.unary({service, method: 'Echo', payload: Buffer.from('hello')})), 'hello');
	t.is((await client.unary({service, method: 'Echo', payload: Buffer.alloc(0)})).length, 0);
	await t.throwsAsync(new TtrpcServer({services: []}).listen(house.path), {code: 'ALREADY_EXISTS'});
	await house.server.close();
	await house.server.close();
	await client.closed;
	await t.throwsAsync(stat(house.path), {code: 'ENOENT'});
	await t.throwsAsync(connectTtrpc(house.path), {code: 'NOT_FOUND'});
});

test('a thousand calls at a time begin in order and each gets its own answer', async t => {
	const seen: string[] = [];
	await using house = await serving({services: [echo(seen)]});
	const client = await house.client();
	const words = Array.from({length: 1000}, (_, index) => `word ${index}`);
	const answers = await Promise.all(words.map(async word => client.unary({service, method: 'Echo', payload: Buffer.from(word)})));
	t.deepEqual(answers.map(text), words);
	t.deepEqual(seen, words);
});

test('a slow call does not hold up the next', async t => {
	await using house = await serving();
	const client = await house.client();
	const order: string[] = [];
	await Promise.all(['200', '1'].map(async delay => order.push(text(await client.unary({service, method: 'Slow', payload: Buffer.from(delay)})))));
	t.deepEqual(order, ['1', '200']);
});

test('failures come with their code and message; the unknown is unimplemented', async t => {
	await using house = await serving();
	const client = await house.client();
	await t.throwsAsync(client.unary({service, method: 'Fail', payload: Buffer.from('no such thing')}), {code: 'NOT_FOUND', message: 'no such thing'});
	await t.throwsAsync(client.unary({service, method: 'Fail', payload: Buffer.alloc(0)}), {code: 'UNKNOWN', message: 'plain failure'});
	await t.throwsAsync(client.unary({service, method: 'toString', payload: Buffer.alloc(0)}), {code: 'UNIMPLEMENTED'});
	await t.throwsAsync(client.unary({service: 'x', method: 'Echo', payload: Buffer.alloc(0)}), {code: 'UNIMPLEMENTED'});
});

test('metadata and deadline reach the handler', async t => {
	const contexts: CallContext[] = [];
	await using house = await serving({services: [echo([], contexts)]});
	const client = await house.client();
	await client.unary({service, method: 'Echo', payload: Buffer.alloc(0), metadata: {'Containerd-Namespace-ttrpc': 'k8s.io', many: ['a', 'b']}, timeoutMs: 60_000});
	await client.unary({service, method: 'Echo', payload: Buffer.alloc(0)});
	t.deepEqual([...contexts[0]?.metadata ?? []], [['containerd-namespace-ttrpc', ['k8s.io']], ['many', ['a', 'b']]]);
	t.true(Math.abs((contexts[0]?.deadline ?? 0) - Date.now() - 60_000) < 30_000);
	t.is(contexts[1]?.deadline, undefined);
});

test('a deadline ends the call on both sides', async t => {
	const contexts: CallContext[] = [];
	await using house = await serving({services: [echo([], contexts)]});
	const client = await house.client();
	await t.throwsAsync(client.unary({service, method: 'Slow', payload: Buffer.from('20000'), timeoutMs: 50}), {code: 'DEADLINE_EXCEEDED'});
	while (contexts.length === 0) {
		await sleep(5);
	}
	const signal = contexts[0]?.signal;
	if (signal?.aborted === false) {
		await once(signal, 'abort');
	}
	t.like(signal?.reason, {name: 'TimeoutError'});
	t.is(text(await client.unary({service, method: 'Echo', payload: Buffer.from('still here')})), 'still here');
});

test('a server tells of a deadline that the client does not watch', async t => {
	const [left, right] = duplexPair();
	await using server = new TtrpcServer({services: [echo()]});
	void server.serve(right);
	const data = encodeRequest({service, method: 'Slow', payload: Buffer.from('20000'), timeoutNano: 20_000_000n, metadata: new Map()});
	left.write(encodeFrame({streamId: 1, type: FRAME.REQUEST, flags: 0, data}));
	for await (const frame of readFrames(left)) {
		t.is(decodeResponse(frame.data).status.code, 4);
		break;
	}
});

test('a cancelled call ends here, before and while it is at work', async t => {
	await using house = await serving();
	const client = await house.client();
	const control = new AbortController();
	const call = client.unary({service, method: 'Slow', payload: Buffer.from('300'), signal: control.signal});
	control.abort();
	await t.throwsAsync(call, {code: 'CANCELLED'});
	await t.throwsAsync(client.unary({service, method: 'Echo', payload: Buffer.alloc(0), signal: control.signal}), {code: 'CANCELLED'});
	await t.throwsAsync(client.stream({service, method: 'Both', sends: true, signal: control.signal}), {code: 'CANCELLED'});
	t.is(text(await client.unary({service, method: 'Slow', payload: Buffer.from('310')})), '310', 'the late answer is nobody else\'s');
});

test('messages over the limit fail their call alone, either way', async t => {
	await using house = await serving();
	const client = await house.client();
	await t.throwsAsync(client.unary({service, method: 'Echo', payload: Buffer.alloc(dataBytesMax)}), {code: 'RESOURCE_EXHAUSTED'});
	await t.throwsAsync(client.unary({service, method: 'Large', payload: Buffer.from(String(dataBytesMax))}), {code: 'RESOURCE_EXHAUSTED'});
	t.is((await client.unary({service, method: 'Large', payload: Buffer.from(String(dataBytesMax - 20))})).length, dataBytesMax - 20);
	t.is((await client.unary({service, method: 'Echo', payload: Buffer.alloc(dataBytesMax - 100)})).length, dataBytesMax - 100);
});

test('oversized frames of a foreign peer are skipped, on both sides', async t => {
	const header = (type: number, streamId: number): Buffer => {
		const frame = Buffer.alloc(10 + dataBytesMax + 1);
		frame.writeUInt32BE(dataBytesMax + 1, 0);
		frame.writeUInt32BE(streamId, 4);
		frame.writeUInt8(type, 8);
		return frame;
	};
	await using house = await serving();
	const socket = connect(house.path);
	socket.write(header(FRAME.REQUEST, 1));
	socket.write(encodeFrame({streamId: 3, type: FRAME.REQUEST, flags: 0, data: encodeRequest({service, method: 'Echo', payload: Buffer.from('x'), timeoutNano: 0n, metadata: new Map()})}));
	const codes: [number, number][] = [];
	for await (const frame of readFrames(socket)) {
		codes.push([frame.streamId, decodeResponse(frame.data).status.code]);
		if (codes.length === 2) {
			break;
		}
	}
	t.deepEqual(codes, [[1, 8], [3, 0]]);

	const [left, right] = duplexPair();
	await using client = new TtrpcClient(left);
	right.resume();
	const call = client.unary({service, method: 'Echo', payload: Buffer.alloc(0)});
	right.write(header(FRAME.RESPONSE, 1));
	await t.throwsAsync(call, {code: 'RESOURCE_EXHAUSTED'});
	t.false(client.isClosed);
});

test('when the connection ends all that waits is rejected, and what comes after', async t => {
	await using house = await serving();
	const client = await house.client();
	const waiting = [1, 2, 3].map(async () => t.throwsAsync(client.unary({service, method: 'Slow', payload: Buffer.from('20000')}), {code: 'UNAVAILABLE', message: 'ttrpc: closed'}));
	const stream = await client.stream({service, method: 'Both', sends: true});
	const reading = t.throwsAsync(Array.fromAsync(stream), {code: 'UNAVAILABLE'});
	await house.server[Symbol.asyncDispose]();
	await Promise.all([...waiting, reading]);
	await client.closed;
	await t.throwsAsync(client.unary({service, method: 'Echo', payload: Buffer.alloc(0)}), {code: 'UNAVAILABLE'});
	await t.throwsAsync(stream.send(Buffer.from('x')), {code: 'UNAVAILABLE'});
});

test('a handler is told when its client is gone', async t => {
	const contexts: CallContext[] = [];
	await using house = await serving({services: [echo([], contexts)]});
	const client = await house.client();
	const call = t.throwsAsync(client.unary({service, method: 'Slow', payload: Buffer.from('20000')}), {code: 'UNAVAILABLE'});
	while (contexts.length === 0) {
		await sleep(5);
	}
	await client[Symbol.asyncDispose]();
	await call;
	const [context] = contexts;
	if (context?.signal.aborted === false) {
		await once(context.signal, 'abort');
	}
	t.true(context?.signal.aborted);
});

test('a server that closes answers what it has begun and nothing more', async t => {
	await using house = await serving();
	const client = await house.client();
	const begun = client.unary({service, method: 'Slow', payload: Buffer.from('150')});
	await client.unary({service, method: 'Echo', payload: Buffer.alloc(0)});
	const closing = house.server.close(AbortSignal.timeout(10_000));
	await t.throwsAsync(client.unary({service, method: 'Echo', payload: Buffer.alloc(0)}), {code: 'UNAVAILABLE'});
	t.is(text(await begun), '150');
	await closing;
});

test('more calls than the limit are refused, and served again later', async t => {
	await using house = await serving({callsMax: 2});
	const client = await house.client();
	const call = async (): Promise<Uint8Array> => client.unary({service, method: 'Slow', payload: Buffer.from('100')});
	const slow = [call(), call()];
	await t.throwsAsync(call(), {code: 'RESOURCE_EXHAUSTED'});
	await Promise.all(slow);
	await t.notThrowsAsync(call());
});

test('messages stream from the server, from the client, and both ways', async t => {
	await using house = await serving();
	const client = await house.client();
	const count = await client.stream({service, method: 'Count', payload: Buffer.from('300'), sends: false});
	t.is((await Array.fromAsync(count, text)).length, 300);

	const join = await client.stream({service, method: 'Join', sends: true});
	await join.send(Buffer.from('a'));
	await join.send(Buffer.from('b'));
	await join.end();
	await join.end();
	t.is(text(await join.response()), 'a+b');

	const both = await client.stream({service, method: 'Both', sends: true});
	const answers = both[Symbol.asyncIterator]();
	await both.send(Buffer.from('one'));
	t.is(text((await answers.next()).value as Uint8Array), '>one');
	await both.send(Buffer.alloc(0));
	t.is(text((await answers.next()).value as Uint8Array), '>', 'an empty message is one');
	await both.end();
	t.true((await answers.next()).done);
	await t.throwsAsync(both.send(Buffer.from('late')), {code: 'FAILED_PRECONDITION'});
});

test('a stream fails with what the handler threw, and one that is no longer read is let go', async t => {
	await using house = await serving();
	const client = await house.client();
	const failing = await client.stream({service, method: 'Both', sends: true});
	await failing.send(Buffer.from('fail'));
	await t.throwsAsync(Array.fromAsync(failing), {code: 'ABORTED', message: 'as asked'});

	const abandoned = await client.stream({service, method: 'Count', payload: Buffer.from('1000'), sends: false});
	for await (const message of abandoned) {
		t.is(text(message), '0');
		break;
	}
	const timed = await client.stream({service, method: 'Both', sends: true, timeoutMs: 30});
	await t.throwsAsync(Array.fromAsync(timed), {code: 'DEADLINE_EXCEEDED'});
	t.is(text(await client.unary({service, method: 'Echo', payload: Buffer.from('on')})), 'on');
});

test('a stream that is read late fails alone', async t => {
	await using house = await serving();
	const client = await house.client();
	const late = await client.stream({service, method: 'Count', payload: Buffer.from('1000'), sends: false});
	await sleep(100);
	t.is(text(await client.unary({service, method: 'Echo', payload: Buffer.from('on')})), 'on', 'held up, but not for ever');
	await t.throwsAsync(Array.fromAsync(late), {code: 'RESOURCE_EXHAUSTED'});
});

test('a server can take over a socket that listens, by its descriptor', async t => {
	await using house = await serving();
	const listener = createServer();
	const inherited = `${house.path}-inherited`;
	listener.listen(inherited);
	await once(listener, 'listening');
	const {fd} = (listener as unknown as {readonly _handle: {readonly fd: number}})._handle;
	await using server = new TtrpcServer({services: [echo()]});
	const [from, to] = socketPair();
	await using watcher = new DescriptorWatcher();
	await sendDescriptors(from, [fd]);
	const {fds: [copy = -1]} = await receiveDescriptors(to, watcher);
	closeSync(from);
	closeSync(to);
	await server.listenOn(copy);
	const {promise, resolve} = Promise.withResolvers<void>();
	listener.on('connection', socket => {
		// Either of the two may be woken.
		void server.serve(socket);
	});
	await using client = await connectTtrpc(inherited);
	t.is(text(await client.unary({service, method: 'Echo', payload: Buffer.from('x')})), 'x');
	listener.close(() => resolve());
	await server.close();
	await promise;
});

test('what is no protocol is answered where it can be, and ended where it cannot', async t => {
	await using house = await serving();
	const talk = async (bytes: Buffer): Promise<readonly number[]> => {
		const socket: Socket = connect(house.path);
		socket.end(bytes);
		const frames = await Array.fromAsync(readFrames(socket)).catch(() => []);
		return frames.map(frame => decodeResponse(frame.data).status.code);
	};
	const request = (streamId: number): Buffer => encodeFrame({streamId, type: FRAME.REQUEST, flags: 0, data: encodeRequest({service, method: 'Echo', payload: Buffer.alloc(0), timeoutNano: 0n, metadata: new Map()})});
	t.deepEqual(await talk(request(2)), [3]);
	t.deepEqual(await talk(Buffer.concat([request(3), request(1)])), [0, 3]);
	t.deepEqual(await talk(encodeFrame({streamId: 5, type: FRAME.DATA, flags: 0, data: Buffer.alloc(1)})), [3]);
	t.deepEqual(await talk(encodeFrame({streamId: 1, type: FRAME.REQUEST, flags: 0, data: Buffer.from([0xff])})), [3]);
	t.deepEqual(await talk(encodeFrame({streamId: 1, type: 77, flags: 0, data: Buffer.alloc(3)})), [], 'a type of the future is skipped');
	t.deepEqual(await talk(Buffer.from('GET / HTTP/1.1\r\n\r\n')), []);
	t.throws(() => new TtrpcServer({services: [echo(), echo()]}), {code: 'INVALID_ARGUMENT'});
});
