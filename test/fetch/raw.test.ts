import {randomBytes} from 'node:crypto';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import type {Trust} from '../../plugins/fetch-oci/hosts.ts';
import {PieceFiller} from '../../plugins/fetch-oci/piece-filler.ts';
import {PIECE_BYTES, PiecePool} from '../../plugins/fetch-oci/piece-pool.ts';
import {RawClient} from '../../plugins/fetch-oci/raw-client.ts';
import type {RawRequest} from '../../plugins/fetch-oci/raw-exchange.ts';
import {until} from '../helpers/until.ts';
import {ByteServer} from './byte-server.ts';
import {issued} from './issued.ts';
import {listening} from './listening.ts';

const openly: Trust = {skipVerify: false};
const large = randomBytes(3 * 1024 * 1024 + 7);
const timeouts = {headersTimeoutMs: 5000, stallTimeoutMs: 5000};

interface Got {
	readonly status: number | undefined;
	readonly headers: Readonly<Record<string, unknown>>;
	readonly bytes: Buffer;
	readonly error: Error | undefined;
	/** Pieces that the reader had at once. */
	readonly held: number;
}

interface Asking extends Partial<RawRequest> {
	readonly client?: RawClient;
	readonly trust?: Trust;
	readonly signal?: AbortSignal;
	/** How long the reader is at each piece. */
	readonly readMs?: number;
	readonly pieces?: Pieces;
}

/** Of several answers: the reader is told once where each piece lies. */
class Pieces {
	readonly pool = new PiecePool();
	readonly memory: Buffer[] = [];
}

/** What a reader in this thread gets. He checks nothing before he gives a piece back, so that one that is filled again too soon is seen. */
async function get(url: URL, {client = new RawClient(), trust = openly, signal = new AbortController().signal, readMs = 0, pieces: {pool, memory} = new Pieces(), ...request}: Asking = {}): Promise<Got> {
	const parts: Buffer[] = [];
	let [holding, held] = [0, 0];
	const reading: Promise<void>[] = [];
	let before = Promise.resolve();
	const filler = new PieceFiller(pool, ({number, offset, length, memory: told}) => {
		const bytes = (memory[number] ??= Buffer.from(told ?? new SharedArrayBuffer(0))).subarray(offset, offset + length);
		held = Math.max(held, ++holding);
		before = before.then(async () => {
			await (readMs === 0 ? undefined : sleep(readMs));
			parts.push(Buffer.from(bytes));
			holding--;
			pool.give(number);
			filler.wasRead();
		});
		reading.push(before);
	});
	let head: Pick<Got, 'status' | 'headers'> = {status: undefined, headers: {}};
	const sink = {filler, head: ({statusCode, headers}: {statusCode: number; headers: object}) => {
		head = {status: statusCode, headers: {...headers}};
	}};
	let error: Error | undefined;
	try {
		await client.get({url, headers: {}, ...timeouts, ...request}, trust, sink, signal);
	} catch (failure) {
		error = failure as Error;
	}
	await Promise.all(reading);
	return {...head, bytes: Buffer.concat(parts), error, held};
}

function headOf(length: number | string, more = ''): string {
	return `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n${more}\r\n`;
}

for (const scheme of ['http', 'https']) {
	test(`bodies of any size come whole over ${scheme}, whatever the reader's pace, on one connection`, async t => {
		const own = scheme === 'https' ? await issued(t) : undefined;
		const sizes = [0, 1, 100, large.length, 8191, 65_536, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, large.length];
		await using server = await ByteServer.start((socket, _request, count) => {
			const body = large.subarray(0, sizes[(count - 1) % sizes.length]);
			socket.write(Buffer.concat([Buffer.from(headOf(body.length)), body]));
		}, own?.issued);
		const client = new RawClient();
		const pieces = new Pieces();
		for (const readMs of [0, 10]) {
			for (const size of sizes) {
				const {status, bytes, error, held} = await get(server.url, {client, pieces, readMs, ...(own === undefined ? {} : {trust: own.trust})});
				t.is(error, undefined);
				t.is(status, 200);
				t.true(bytes.equals(large.subarray(0, size)), `${bytes.length} of ${size} bytes`);
				// TLS gives on what it has decrypted already.
				t.true(held <= (own === undefined ? 5 : 6), `${held} pieces`);
				await sleep(5);
			}
		}
		t.is(server.connections.length, 1);
		t.true(server.asked.every(head => head.startsWith('GET /blob?x=1 HTTP/1.1\r\n') && head.includes(`host: ${server.url.host}`)));
		// All are free again: those that were never told of come after them.
		t.true(pieces.memory.length <= 8, `${pieces.memory.length} pieces`);
		t.deepEqual(pieces.memory.map(() => pieces.pool.take().isNew), pieces.memory.map(() => false));
	});
}

test('a connection whose last bytes TLS brought while the reader was behind answers the next request', async t => {
	const own = await issued(t);
	// The fifth part is on its way, in the records that were read with the fourth, when the reader has as many as he may.
	const sizes = [100, 5000, 10_000, 20_000, 30_000].map(tail => 4 * PIECE_BYTES + tail);
	await using server = await ByteServer.start((socket, _request, count) => {
		const body = large.subarray(0, sizes[(count - 1) >> 1]);
		socket.write(Buffer.concat([Buffer.from(headOf(count % 2 === 0 ? 2 : body.length)), count % 2 === 0 ? Buffer.from('ok') : body]));
	}, own.issued);
	const client = new RawClient();
	for (const size of sizes) {
		const {bytes, error} = await get(server.url, {client, trust: own.trust, readMs: 40});
		t.is(error, undefined);
		t.true(bytes.equals(large.subarray(0, size)));
		t.is((await get(server.url, {client, trust: own.trust})).bytes.toString(), 'ok');
		await sleep(5);
	}
	t.is(server.connections.length, 1);
});

test('pieces are all given back, and not while somebody is at them', t => {
	const pool = new PiecePool();
	const sent: {number: number; offset: number; length: number}[] = [];
	const filler = new PieceFiller(pool, piece => sent.push(piece));
	filler.place(10).write('0123456789');
	filler.filled(10);
	filler.flush();
	filler.place(5).write('abcde');
	filler.filled(5);
	filler.close();
	t.deepEqual(sent.map(({number, offset, length}) => ({number, offset, length})), [{number: 0, offset: 0, length: 10}, {number: 0, offset: 10, length: 5}]);
	pool.give(0);
	t.is(pool.take().number, 1);
	pool.give(0);
	t.is(pool.take().number, 0);
});

test('an answer is cut rightly wherever the network cuts it', async t => {
	const body = large.subarray(0, 40);
	const answer = Buffer.concat([Buffer.from(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${headOf(body.length)}`), body]);
	await using server = await ByteServer.start(async (socket, request) => {
		const at = Number(/x-at: (\d+)/.exec(request)?.[1]);
		socket.write(answer.subarray(0, at));
		await sleep(2);
		socket.write(answer.subarray(at));
	});
	const client = new RawClient();
	for (let at = 1; at < answer.length; at++) {
		const {status, bytes, error} = await get(server.url, {client, headers: {'x-at': String(at)}});
		t.is(error, undefined, `cut at ${at}`);
		t.is(status, 200);
		t.true(bytes.equals(body), `cut at ${at}`);
	}
});

test('an answer that dribbles is read byte by byte', async t => {
	const answer = Buffer.concat([Buffer.from(headOf(30)), large.subarray(0, 30)]);
	await using server = await ByteServer.start(async socket => {
		for (const byte of answer) {
			socket.write(Buffer.of(byte));
			await sleep(1);
		}
	});
	const {bytes, error} = await get(server.url);
	t.is(error, undefined);
	t.true(bytes.equals(large.subarray(0, 30)));
});

test('what comes in chunks, or up to the connection\'s end, goes through the parser', async t => {
	const chunks = Buffer.concat([large.subarray(0, 100_000), large.subarray(100_000)].flatMap(chunk => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]));
	await using server = await ByteServer.start((socket, request) => {
		if (request.includes('x-how: chunks')) {
			socket.write(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'), chunks, Buffer.from('0\r\n\r\n')]));
		} else if (request.includes('x-how: broken')) {
			socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'), chunks.subarray(0, 50_000)]));
		} else {
			socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), large]));
		}
	});
	for (const readMs of [0, 10]) {
		for (const how of ['chunks', 'end']) {
			const {bytes, error, held} = await get(server.url, {headers: {'x-how': how}, readMs});
			t.is(error, undefined);
			t.true(bytes.equals(large), how);
			t.true(held <= 5);
		}
	}
	const {bytes, error} = await get(server.url, {headers: {'x-how': 'broken'}});
	t.regex(error?.message ?? '', /closed the connection before its answer was whole|aborted/);
	t.true(bytes.length > 0 && bytes.equals(large.subarray(0, bytes.length)));
});

test('answers without a body end at once, and the connection is kept', async t => {
	const heads = ['HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n', headOf(0), `HTTP/1.1 307 Temporary Redirect\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n`];
	await using server = await ByteServer.start((socket, _request, count) => socket.write(heads[count - 1] ?? ''));
	const client = new RawClient();
	const statuses = [];
	for (const _ of heads) {
		const {status, bytes, error} = await get(server.url, {client});
		t.is(error, undefined);
		t.is(bytes.length, 0);
		statuses.push(status);
		await sleep(5);
	}
	t.deepEqual(statuses, [204, 304, 200, 307]);
	t.is(server.connections.length, 1);
});

test('connections are kept by those alone who trust alike, and not where the answer says so', async t => {
	await using server = await ByteServer.start((socket, request) => {
		const mood = /x-mood: (\w+)/.exec(request)?.[1];
		socket.write(mood === 'close' ? `${headOf(2, 'Connection: foo, Close\r\n')}ok` : mood === 'old' ? 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok' : mood === 'more' ? `${headOf(2)}ok, and more` : `${headOf(2)}ok`);
	});
	const client = new RawClient();
	const ask = async (mood: string, trust: Trust = openly): Promise<number> => {
		const {bytes, error} = await get(server.url, {client, trust, headers: {'x-mood': mood}});
		t.is(error, undefined);
		t.is(bytes.toString(), 'ok');
		await sleep(20);
		return server.connections.length;
	};
	t.deepEqual([await ask('good'), await ask('good'), await ask('good', {skipVerify: true}), await ask('good')], [1, 1, 2, 2]);
	t.deepEqual([await ask('close'), await ask('close'), await ask('old'), await ask('more'), await ask('good')], [2, 3, 4, 5, 6]);
	await until('the others to be closed', async () => server.connections.filter(({closed}) => !closed).length <= 2);
});

test('bytes that come late after an answer, which nobody has asked for, are nobody\'s answer', async t => {
	await using server = await ByteServer.start(async (socket, _request, count) => {
		socket.write(`${headOf(2)}ok`);
		if (count === 1) {
			await sleep(30);
			socket.write(`${headOf(4)}evil`);
		}
	});
	const client = new RawClient();
	t.is((await get(server.url, {client})).bytes.toString(), 'ok');
	await until('the connection to be closed', async () => server.connections[0]?.closed === true);
	t.is((await get(server.url, {client})).bytes.toString(), 'ok');
	t.is(server.connections.length, 2);
});

test('a kept connection that is closed instead of an answer is replaced, once; a new one is not', async t => {
	let isRude = true;
	await using server = await ByteServer.start((socket, request, count) => {
		if (count === 1 || !isRude) {
			socket.write(`${headOf(2)}ok`);
		} else if (request.includes('x-half')) {
			socket.end('HTTP/1.1 200');
		} else if (count % 2 === 0) {
			isRude = request.includes('x-rude');
			socket.destroy();
		} else {
			socket.resetAndDestroy();
		}
	});
	const client = new RawClient();
	t.is((await get(server.url, {client})).bytes.toString(), 'ok');
	await sleep(5);
	// Closed when it was asked: once more on another.
	t.is((await get(server.url, {client})).bytes.toString(), 'ok');
	t.deepEqual([server.asked.length, server.connections.length], [3, 2]);
	// Closed before: not asked at all.
	server.connections[1]?.end();
	await sleep(50);
	t.is((await get(server.url, {client})).bytes.toString(), 'ok');
	t.deepEqual([server.asked.length, server.connections.length], [4, 3]);
	isRude = true;
	await sleep(5);
	const {error} = await get(server.url, {client, headers: {'x-rude': '1'}});
	t.regex(error?.message ?? '', /closed the connection before it answered|ECONNRESET|EPIPE/);
	t.deepEqual([server.asked.length, server.connections.length], [6, 4]);
	isRude = true;
	t.regex((await get(server.url, {headers: {'x-half': '1'}})).error?.message ?? '', /closed the connection within the head/);
	t.is(server.asked.length, 7);
});

for (const how of ['end', 'reset'] as const) {
	test(`an answer that breaks off with ${how} fails after all that came of it`, async t => {
		const part = 2 * PIECE_BYTES + 12_345;
		await using server = await ByteServer.start(async socket => {
			socket.write(headOf(large.length));
			socket.write(large.subarray(0, part));
			await sleep(200);
			if (how === 'end') {
				socket.end();
			} else {
				socket.resetAndDestroy();
			}
		});
		const {status, bytes, error} = await get(server.url, {readMs: 5});
		t.is(status, 200);
		t.true(bytes.equals(large.subarray(0, part)), `${bytes.length} bytes`);
		t.regex(error?.message ?? '', how === 'end' ? new RegExp(`closed the connection after ${part} of ${large.length} bytes`) : /ECONNRESET/);
	});
}

const hostile: readonly (readonly [what: string, answer: string])[] = [
	['a length of letters', headOf('abc')],
	['a negative length', headOf(-5)],
	['a signed length', headOf('+2')],
	['a length in hex', headOf('0x2')],
	['a length beyond any', headOf('99999999999999999999999999')],
	['two lengths in one', headOf('2, 2')],
	['two lengths that differ', headOf(2, 'content-length: 3\r\n')],
	['lines that end in line feeds alone', 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok\r\n\r\n'],
	['a head that ends in line feeds alone', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok\r\n\r\n'],
	['a blank line before', '\r\n\r\n'],
	['no HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n'],
	['a line folded into nonsense', 'HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\n'],
	['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'],
	['a head without end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}`],
	['heads of other answers without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(5000)],
	['a line without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`],
];

for (const [what, answer] of hostile) {
	test(`an answer with ${what} is refused`, async t => {
		await using server = await ByteServer.start(socket => socket.write(`${answer}ok`));
		const {bytes, error} = await get(server.url, {headersTimeoutMs: 1500});
		t.log(error?.message);
		t.truthy(error);
		t.is(bytes.length, 0);
		await until('the connection to be closed', async () => server.connections[0]?.closed === true);
	});
}

test('a body whose length is told in two ways is never read as plain bytes', async t => {
	await using server = await ByteServer.start((socket, request) => {
		const chunked = request.includes('x-first') ? `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 12\r\n\r\n` : headOf(12, 'transfer-encoding: chunked\r\n');
		socket.write(`${chunked}2\r\nok\r\n0\r\n\r\n`);
	});
	for (const headers of [{}, {'x-first': '1'}]) {
		const {bytes, error} = await get(server.url, {headers});
		t.log(error?.message);
		t.true(error === undefined ? bytes.toString() === 'ok' : bytes.length === 0);
	}
	t.is(server.connections.length, 2);
});

test('whoever speaks before he is asked is no server of HTTP', async t => {
	const sockets: Socket[] = [];
	const server = createServer(socket => {
		sockets.push(socket.on('error', () => undefined));
		socket.write(`220 welcome\r\n\r\n`);
	});
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	t.teardown(() => {
		sockets.forEach(socket => socket.destroy());
		server.close();
	});
	const {error, bytes} = await get(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
	t.truthy(error);
	t.is(bytes.length, 0);
});

test('an answer that does not come, or stalls, is given up; what a slow reader takes is no stall', async t => {
	const several = large.subarray(0, 6 * PIECE_BYTES);
	await using server = await ByteServer.start((socket, request) => {
		if (request.includes('x-how: stall')) {
			socket.write(`${headOf(large.length)}0123456789`);
		} else if (request.includes('x-how: chunks')) {
			socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234');
		} else if (request.includes('x-how: good')) {
			socket.write(headOf(several.length));
			socket.write(several);
		}
	});
	const soon = {headersTimeoutMs: 800, stallTimeoutMs: 800};
	const none = await get(server.url, soon);
	t.regex(none.error?.message ?? '', /headers timeout/);
	for (const [how, before] of [['stall', '0123456789'], ['chunks', '01234']] as const) {
		const {bytes, error} = await get(server.url, {...soon, headers: {'x-how': how}});
		t.regex(error?.message ?? '', /body timeout: nothing came for 800 ms/);
		t.is(bytes.toString(), before);
	}
	const slow = await get(server.url, {...soon, readMs: 1000, headers: {'x-how': 'good'}});
	t.is(slow.error, undefined);
	t.true(slow.bytes.equals(several));
});

test('a download that is let go frees its connection, at whatever stage', async t => {
	await using server = await ByteServer.start((socket, request) => request.includes('x-silent') || socket.write(`${headOf(large.length)}0123456789`));
	for (const headers of [{'x-silent': '1'}, {}]) {
		const ending = new AbortController();
		const getting = get(server.url, {headers, signal: ending.signal});
		await sleep(150);
		t.is(server.connections.filter(({closed}) => !closed).length, 1);
		ending.abort(new Error('let go'));
		t.is((await getting).error?.message, 'let go');
		await until('the connection to be closed', async () => server.connections.every(({closed}) => closed));
	}
	const aborted = AbortSignal.abort(new Error('let go before'));
	t.is((await get(server.url, {signal: aborted})).error?.message, 'let go before');
});

test('a host that is not there is told of in the network\'s words', async t => {
	const server = createServer();
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	const {port} = server.address() as AddressInfo;
	await new Promise(resolve => server.close(resolve));
	t.regex((await get(new URL(`http://127.0.0.1:${port}/`))).error?.message ?? '', /ECONNREFUSED/);
	// Of a name with several addresses each is tried.
	const {error} = await get(new URL(`http://localhost:${port}/`));
	t.regex(error instanceof AggregateError ? error.errors.map(String).join() : error?.message ?? '', /ECONNREFUSED/);
	t.regex((await get(new URL('http://127.0.0.1:1/'), {headers: {'bad name': '1'}})).error?.message ?? '', /ECONNREFUSED|bad name/);
});

test('a connection that does not come about in time is given up', async t => {
	// Takes connections, and says nothing in TLS.
	await using server = await ByteServer.start(() => undefined);
	const before = performance.now();
	const {error} = await get(new URL(`https://${server.url.host}/`), {trust: {skipVerify: true, dialTimeoutMs: 200}});
	t.regex(error?.message ?? '', /connect timeout/);
	t.true(performance.now() - before < 3000);
	await until('the connection to be closed', async () => server.connections.every(({closed}) => closed));
});

test('certificates are asked for by name, and refused where nobody stands for them', async t => {
	const {issued: certificate, trust} = await issued(t);
	await using server = await ByteServer.start(socket => socket.write(`${headOf(2)}ok`), certificate);
	const named = new URL(server.url);
	named.hostname = 'localhost';
	t.is((await get(named, {trust})).bytes.toString(), 'ok');
	t.is((await get(server.url, {trust})).bytes.toString(), 'ok');
	t.is((await get(server.url, {trust: {skipVerify: true}})).bytes.toString(), 'ok');
	t.regex((await get(server.url)).error?.message ?? '', /certificate/);
	// A header names another host: it is he who must prove himself.
	t.regex((await get(server.url, {trust, headers: {host: 'elsewhere.example'}})).error?.message ?? '', /elsewhere\.example/);
});

test('a connection that was expected serves the first who asks; others open their own, and one that nobody takes is closed', async t => {
	await using server = await ByteServer.start(async (socket, _request, count) => {
		await sleep(count < 3 ? 50 : 0);
		socket.write(`${headOf(2)}ok`);
	});
	const client = new RawClient();
	const ask = async (): Promise<string> => (await get(server.url, {client})).bytes.toString();
	client.expect(server.url, openly, {});
	client.expect(server.url, openly, {});
	// Whether it stands by then or not.
	t.deepEqual(await Promise.all([ask(), ask()]), ['ok', 'ok']);
	t.is(server.connections.length, 2);
	await sleep(20);
	client.expect(server.url, openly, {});
	await sleep(20);
	t.is(server.connections.length, 2);
	const other = new RawClient();
	other.expect(server.url, openly, {});
	await until('the connection', () => server.connections.length === 3);
	await sleep(50);
	t.is((await get(server.url, {client: other})).bytes.toString(), 'ok');
	t.is(server.connections.length, 3);
	const third = new RawClient();
	third.expect(server.url, openly, {});
	await until('the connection', () => server.connections.length === 4);
	await until('all to be closed', () => server.connections.every(({closed}) => closed), {timeoutMs: 8000});
});

test('whoever waits for an expected connection is told what becomes of it, and may give up; then the next has it', async t => {
	const own = await issued(t);
	await using server = await ByteServer.start(socket => socket.write(`${headOf(2)}ok`), own.issued);
	const reached: Socket[] = [];
	const slow = createServer(near => {
		reached.push(near);
		const far = connect(Number(server.url.port), '127.0.0.1').on('error', () => near.destroy());
		near.on('error', () => far.destroy());
		setTimeout(() => near.pipe(far).pipe(near), 150);
	});
	const url = new URL(`https://${await listening(t, slow)}/blob`);
	const client = new RawClient();
	client.expect(url, own.trust, {});
	t.is((await get(url, {client, trust: own.trust, signal: AbortSignal.timeout(50)})).error?.name, 'TimeoutError');
	await until('the connection', () => server.connections.length === 1);
	await sleep(50);
	t.is((await get(url, {client, trust: own.trust})).bytes.toString(), 'ok');
	t.is(reached.length, 1);
	// Not believed: whoever asks hears that of his own.
	client.expect(url, openly, {});
	t.regex((await get(url, {client})).error?.message ?? '', /unable to verify/);
	t.is(reached.length, 3);
	const refused = new URL('http://127.0.0.1:9/');
	client.expect(refused, openly, {});
	t.regex((await get(refused, {client})).error?.message ?? '', /ECONNREFUSED/);
});
