import {createServer as createPlainServer, type RequestListener} from 'node:http';
import {createSecureServer, type Http2SecureServer, type ServerHttp2Session, type ServerHttp2Stream} from 'node:http2';
import {createServer} from 'node:https';
import type {Socket, Server as TcpServer} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {createServer as createTlsServer} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import type {Trust} from '../../plugins/fetch-oci/hosts.ts';
import {SmallClient} from '../../plugins/fetch-oci/small-client.ts';
import type {SmallRequest} from '../../plugins/fetch-oci/small-message.ts';
import {until} from '../helpers/until.ts';
import {issued} from './issued.ts';
import {listening} from './listening.ts';
import {message, textOf} from './small-message.ts';

/** A server's certificate, and a client's trust in it. */
interface Secured {
	readonly cert: string;
	readonly key: string;
	readonly trust: Trust;
}

async function secured(t: ExecutionContext): Promise<Secured> {
	const {issued: {certificate, key}, trust} = await issued(t);
	return {cert: certificate, key, trust};
}

/** Where a server listens, and how many connections it got. */
async function serve(t: ExecutionContext, server: TcpServer): Promise<{readonly url: URL; readonly count: () => number}> {
	let count = 0;
	server.on('secureConnection', () => count++);
	return {url: new URL(`https://${await listening(t, server)}/`), count: () => count};
}

/** A server of HTTP/2 alone, and its sessions. */
function http2Of({cert, key}: Secured, answer: (stream: ServerHttp2Stream, path: string) => void): {readonly server: Http2SecureServer; readonly sessions: ServerHttp2Session[]} {
	const sessions: ServerHttp2Session[] = [];
	const server = createSecureServer({cert, key, allowHTTP1: false}).on('session', session => sessions.push(session)).on('stream', (stream: ServerHttp2Stream, {':path': path = ''}) => {
		stream.on('error', () => undefined);
		answer(stream, path);
	});
	return {server, sessions};
}

test('HTTP/1.1 is spoken where it is chosen, on the connection that found that out and no other', async t => {
	const own = await secured(t);
	const server = createServer(own, (request, response) => {
		request.resume().on('end', () => response.end(`${request.method} ${request.url} ${request.headers.host}`));
	});
	const {url, count} = await serve(t, server);
	using client = new SmallClient();
	for (let at = 0; at < 10; at++) {
		const {statusCode, body} = await client.send(message(new URL(`/v2/${at}?a=b`, url), {trust: own.trust, ...(at % 2 === 0 ? {} : {method: 'PUT', body: 'some', headers: {host: 'localhost'}})}));
		t.is(statusCode, 200);
		t.is(await textOf(body), at % 2 === 0 ? `GET /v2/${at}?a=b ${url.host}` : `PUT /v2/${at}?a=b localhost`);
	}
	// Another name that is asked for is another that must be answered for.
	t.is(count(), 2);
	// What cannot be sent leaves no connection behind.
	const sockets = new Set<Socket>();
	server.on('connection', (socket: Socket) => sockets.add(socket));
	using other = new SmallClient();
	await t.throwsAsync(other.send(message(url, {trust: own.trust, headers: {'x-own': 'a\nb'}})), {code: 'ERR_INVALID_CHAR'});
	await until('its connection to be closed', () => sockets.size === 1 && [...sockets].every(({closed}) => closed));
});

test('HTTP/2 is spoken where it is offered, in one session for all', async t => {
	const own = await secured(t);
	const seen: unknown[] = [];
	const server = createSecureServer({...own, allowHTTP1: true}, (request, response) => {
		seen.push(request.httpVersion);
		request.resume().on('end', () => response.writeHead(request.method === 'PUT' ? 201 : 200, {'docker-content-digest': 'x', 'set-cookie': ['a', 'b']}).end(request.method === 'HEAD' ? '' : `${request.method} ${request.url} ${request.authority} ${String(request.headers['x-own'])}`));
	});
	const {url, count} = await serve(t, server);
	using client = new SmallClient();
	const {statusCode, headers, body} = await client.send(message(new URL('/v2/', url), {trust: own.trust, method: 'HEAD', headers: {'x-own': '1'}}));
	t.is(statusCode, 200);
	t.is(headers['docker-content-digest'], 'x');
	t.deepEqual(headers['set-cookie'], ['a', 'b']);
	t.is(await textOf(body), '');
	const all = await Promise.all(Array.from({length: 20}, async (_, at) => {
		const answer = await client.send(message(new URL(`/v2/${at}?a=b`, url), {trust: own.trust, headers: {'x-own': at}, ...(at % 2 === 0 ? {} : {method: 'PUT', body: Buffer.alloc(at)})}));
		t.is(answer.statusCode, at % 2 === 0 ? 200 : 201);
		return await textOf(answer.body);
	}));
	t.deepEqual(all, all.map((_, at) => `${at % 2 === 0 ? 'GET' : 'PUT'} /v2/${at}?a=b ${url.host} ${at}`));
	const named = await client.send(message(new URL('/v2/', url), {trust: own.trust, headers: {'X-Own': 'big', 'Connection': 'keep-alive', 'Keep-Alive': 'timeout=5'}}));
	t.is(await textOf(named.body), `GET /v2/ ${url.host} big`);
	t.deepEqual([...new Set(seen)], ['2.0']);
	t.is(count(), 1);
});

test('a session that ends is followed by another, and what it had not answered is asked again, where it may be', async t => {
	const own = await secured(t);
	let count = 0;
	const {server, sessions} = http2Of(own, (stream, path) => {
		count++;
		// The second of each session is the one that it does not live to answer.
		if (path === '/refuse') {
			stream.close(7);
		} else if (path === '/lose' && sessions.length < 3) {
			sessions.at(-1)?.destroy();
		} else {
			stream.respond({':status': 200});
			stream.end('ok');
		}
	});
	const {url} = await serve(t, server);
	using client = new SmallClient();
	const ask = async (path: string, more: Partial<SmallRequest> = {}): Promise<string> => textOf((await client.send(message(new URL(path, url), {trust: own.trust, ...more}))).body);
	t.is(await ask('/'), 'ok');
	// It says that it ends, and is heard of before the next.
	sessions[0]?.close();
	await until('the session to be closed', () => sessions[0]?.closed);
	await sleep(20);
	t.is(await ask('/'), 'ok');
	t.is(sessions.length, 2);
	t.is(await ask('/lose'), 'ok');
	t.is(sessions.length, 3);
	t.is(count, 4);
	// Refused for good: asked twice, and no more.
	await t.throwsAsync(ask('/refuse'), {message: /REFUSED_STREAM/});
	t.is(count, 6);
	await t.throwsAsync(ask('/refuse', {method: 'POST', body: 'x'}));
	t.is(count, 7);
	t.is(await ask('/'), 'ok');
});

test('no head, a body that stalls or breaks off, and a caller who gives up each have their end over HTTP/2', async t => {
	const own = await secured(t);
	const {server, sessions} = http2Of(own, (stream, path) => {
		if (path !== '/silent') {
			stream.respond({':status': 200, 'content-length': '10'});
			stream.write('some');
			if (path === '/breaks') {
				setTimeout(() => stream.session?.destroy(), 20);
			}
		}
	});
	const {url} = await serve(t, server);
	using client = new SmallClient();
	const send = async (path: string, more: Partial<SmallRequest> = {}): ReturnType<SmallClient['send']> => client.send(message(new URL(path, url), {trust: own.trust, ...more}));
	await t.throwsAsync(send('/silent', {headersTimeoutMs: 60}), {message: /headers timeout/});
	// Nothing says that such a session lives.
	const {body} = await send('/stalls', {stallTimeoutMs: 60});
	t.is(sessions.length, 2);
	await t.throwsAsync(textOf(body), {message: /body timeout/});
	await t.throwsAsync(async () => textOf((await send('/breaks')).body), {message: /unexpected EOF/});
	const giving = new AbortController();
	setTimeout(() => giving.abort(new Error('gave up')), 30);
	await t.throwsAsync(send('/silent', {signal: giving.signal}), {message: 'gave up'});
	const again = new AbortController();
	const begun = await send('/stalls', {signal: again.signal});
	setTimeout(() => again.abort(new Error('gave up')), 30);
	await t.throwsAsync(textOf(begun.body), {message: 'gave up'});
	await t.throwsAsync(send('/', {signal: AbortSignal.abort(new Error('before'))}), {message: 'before'});
	// What is let go is told to the server, and the session serves on.
	const left = await send('/stalls');
	const count = sessions.length;
	left.body.destroy();
	await (await send('/stalls')).body.dump({limit: 2});
	t.is(sessions.length, count);
});

test('a connection that nobody uses is closed, whatever is spoken on it', async t => {
	const own = await secured(t);
	const {server} = http2Of(own, stream => {
		stream.respond({':status': 200});
		stream.end('ok');
	});
	const answer: RequestListener = (_request, response) => response.end('ok');
	const plain = createPlainServer({keepAliveTimeout: 60_000}, answer);
	const secure = createServer({...own, keepAliveTimeout: 60_000}, answer);
	const sockets: Socket[] = [];
	for (const one of [server, plain, secure]) {
		one.on('connection', (socket: Socket) => sockets.push(socket));
	}
	using client = new SmallClient(300);
	const urls = [new URL(`http://${await listening(t, plain)}/`), (await serve(t, secure)).url, (await serve(t, server)).url];
	for (const url of urls) {
		for (let count = 0; count < 2; count++) {
			t.is(await textOf((await client.send(message(url, {trust: own.trust}))).body), 'ok');
		}
	}
	t.is(sockets.length, 3);
	await until('all to be closed', () => sockets.every(({closed}) => closed), {timeoutMs: 5000});
	for (const url of urls) {
		t.is(await textOf((await client.send(message(url, {trust: own.trust}))).body), 'ok');
	}
	t.is(sockets.length, 6);
});

test('an answer of a megabyte comes without waiting for room, and one that is cut short by a reset is an error', async t => {
	const own = await secured(t);
	const large = Buffer.alloc(1024 * 1024, 'large');
	const {server} = http2Of(own, (stream, path) => {
		stream.respond({':status': 200, ...(path === '/early' ? {'content-length': large.length} : {})});
		if (path === '/reset' || path === '/early') {
			stream.write('some', () => path === '/early' ? stream.close(0) : stream.destroy(new Error('reset')));
		} else {
			stream.end(large);
		}
	});
	const {url} = await serve(t, server);
	using client = new SmallClient();
	t.is((await textOf((await client.send(message(url, {trust: own.trust}))).body)).length, large.length);
	for (const path of ['/reset', '/early']) {
		await t.throwsAsync(async () => textOf((await client.send(message(new URL(path, url), {trust: own.trust}))).body), {message: /unexpected EOF|NGHTTP2_(?:INTERNAL|PROTOCOL)_ERROR/});
	}
});

test('a server that is not believed, closes, or does not speak is an error; the wish for HTTP/1.1 is forgotten where it is refused', async t => {
	const own = await secured(t);
	let protocols = ['http/1.1'];
	const server = createTlsServer({...own, ALPNCallback: ({protocols: offered}: {protocols: string[]}) => protocols.find(one => offered.includes(one))}, socket => {
		socket.on('error', () => undefined).on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok'));
	});
	const {url} = await serve(t, server);
	using client = new SmallClient();
	t.is(await textOf((await client.send(message(url, {trust: own.trust}))).body), 'ok');
	t.is(await textOf((await client.send(message(url, {trust: own.trust}))).body), 'ok');
	protocols = ['h2'];
	await t.throwsAsync(client.send(message(url, {trust: own.trust})), {message: /no application protocol/i});
	protocols = ['http/1.1'];
	t.is(await textOf((await client.send(message(url, {trust: own.trust}))).body), 'ok');
	await t.throwsAsync(client.send(message(url)), {code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'});
	t.is(await textOf((await client.send(message(url, {trust: {skipVerify: true}}))).body), 'ok');
	const silent = await serve(t, createTlsServer(own));
	const plain = await listening(t, createTlsServer(own).removeAllListeners('connection').on('connection', socket => void socket.resume()));
	await t.throwsAsync(client.send(message(silent.url, {trust: own.trust, headersTimeoutMs: 60})), {message: /headers timeout/});
	await t.throwsAsync(client.send(message(new URL(`https://${plain}`), {trust: {...own.trust, dialTimeoutMs: 60}})), {message: /connect timeout/});
	await t.throwsAsync(client.send(message(new URL('https://127.0.0.1:9'), {trust: own.trust})), {message: /ECONNREFUSED/});
});
