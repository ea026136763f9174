import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {createServer as createPlainServer} from 'node:http';
import {createSecureServer} from 'node:http2';
import {connect, type AddressInfo, type Socket} from 'node:net';
import test from 'ava';
import {BodyThread} from '../../plugins/fetch-oci/body-thread.ts';
import type {Trust} from '../../plugins/fetch-oci/hosts.ts';
import type {HttpResponse} from '../../plugins/fetch-oci/http-client.ts';
import {Authority} from '../helpers/authority.ts';
import {until} from '../helpers/until.ts';
import {ByteServer} from './byte-server.ts';
import {readAll} from './client.ts';

const blob = randomBytes(2 * 1024 * 1024 + 5);

async function get(thread: BodyThread, url: URL, {trust = {skipVerify: false}, headers = {}, signal}: {trust?: Trust; headers?: Record<string, string>; signal?: AbortSignal} = {}): Promise<HttpResponse> {
	return thread.get({url, headers, headersTimeoutMs: 5000, stallTimeoutMs: 5000, signal}, trust);
}

/** Sends the range that is asked for, and keeps the connection. */
function sendRange(socket: Socket, request: string): void {
	const [, from, to] = /range: bytes=(\d+)-(\d+)/.exec(request) ?? [];
	const part = blob.subarray(Number(from ?? 0), Number(to ?? blob.length - 1) + 1);
	socket.write(`HTTP/1.1 ${from === undefined ? '200 OK' : '206 Partial Content'}\r\ncontent-length: ${part.length}\r\n\r\n`);
	socket.write(part);
}

test('ranges that are asked for one after another come on one connection', async t => {
	await using server = await ByteServer.start(sendRange);
	await using thread = new BodyThread({});
	for (let at = 0; at < blob.length; at += 100_000) {
		const end = Math.min(at + 100_000, blob.length);
		const {statusCode, body} = await get(thread, server.url, {headers: {range: `bytes=${at}-${end - 1}`}});
		t.is(statusCode, 206);
		t.true((await readAll(body)).equals(blob.subarray(at, end)));
	}
	t.true(server.asked.length > 20);
	t.true(server.connections.length <= 2, `${server.connections.length} connections`);
});

test('a server that speaks HTTP/2 alone is spoken to in it, and not asked for HTTP/1.1 again', async t => {
	await using authority = await Authority.create();
	const {certificate, key} = await authority.issue('only-h2');
	const sockets = new Set<Socket>();
	let refused = 0;
	const server = createSecureServer({cert: certificate, key, allowHTTP1: false}, (_request, response) => response.writeHead(200, {'content-length': blob.length}).end(blob));
	server.on('connection', (socket: Socket) => sockets.add(socket)).on('tlsClientError', () => refused++).listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		sockets.forEach(socket => socket.destroy());
		server.close();
	});
	await using thread = new BodyThread({});
	const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`);
	for (let count = 0; count < 3; count++) {
		const {statusCode, body} = await get(thread, url, {trust: {skipVerify: false, ca: [authority.root.certificate]}});
		t.is(statusCode, 200);
		t.true((await readAll(body)).equals(blob));
	}
	t.is(refused, 1);
	t.is(sockets.size, 2);
});

test('where a proxy is named, large answers come through it', async t => {
	await using server = await ByteServer.start(sendRange);
	const asked: (string | undefined)[] = [];
	const proxy = createPlainServer((request, response) => {
		asked.push(request.url);
		response.writeHead(200, {'content-length': blob.length}).end(blob);
	}).on('connect', (request, socket: Socket) => {
		asked.push(request.url);
		const through = connect(Number(server.url.port), '127.0.0.1', () => {
			socket.write('HTTP/1.1 200 ok\r\n\r\n');
			through.pipe(socket).pipe(through);
		}).on('error', () => socket.destroy());
		socket.on('error', () => through.destroy());
	}).listen(0, '127.0.0.1');
	await once(proxy, 'listening');
	t.teardown(() => {
		proxy.closeAllConnections();
		proxy.close();
	});
	await using thread = new BodyThread({http_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`});
	const {body} = await get(thread, new URL('http://registry.invalid/blob'));
	t.true((await readAll(body)).equals(blob));
	t.is(asked.length, 1);
	t.regex(asked[0] ?? '', /registry\.invalid/);
	// Loopback is not.
	t.true((await readAll((await get(thread, server.url)).body)).equals(blob));
	t.is(asked.length, 1);
});

test('a body that breaks off is read to where it broke; one that is let go, or whose signal ends, gives connection and pieces back', async t => {
	const part = 600_000;
	await using server = await ByteServer.start((socket, request) => {
		socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${blob.length}\r\n\r\n`);
		if (request.includes('x-broken')) {
			socket.end(blob.subarray(0, part));
		} else {
			socket.write(blob.subarray(0, part));
		}
	});
	await using thread = new BodyThread({});
	const memory = new Set<unknown>();
	for (let count = 0; count < 6; count++) {
		const {body} = await get(thread, server.url, {headers: {'x-broken': '1'}});
		let length = 0;
		await t.throwsAsync(async () => {
			for await (const chunk of body) {
				t.true(blob.subarray(length, length + chunk.length).equals(chunk));
				length += chunk.length;
				memory.add(chunk.buffer);
			}
		}, {message: /closed the connection after 600000 of/});
		t.is(length, part);
		const left = await get(thread, server.url);
		left.body.destroy();
		const ending = new AbortController();
		const aborted = await get(thread, server.url, {signal: ending.signal});
		ending.abort(new Error('enough'));
		await t.throwsAsync(readAll(aborted.body), {message: 'enough'});
		// Broken before it is looked at, and never read.
		(await get(thread, server.url, {headers: {'x-broken': '1'}})).body.destroy();
		await until('the connections to be closed', async () => server.connections.every(({closed}) => closed));
	}
	t.true(memory.size <= 12, `${memory.size} pieces`);
});
