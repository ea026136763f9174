import {createServer} from 'node:http';
import {createServer as createTcpServer, type Server as TcpServer, type Socket} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {SmallClient} from '../../plugins/fetch-oci/small-client.ts';
import {listening} from './listening.ts';
import {message, textOf} from './small-message.ts';

test('many messages go over one connection, which gathers nothing of them', async t => {
	const sockets = new Set<unknown>();
	const url = await serve(t, createServer((request, response) => {
		sockets.add(request.socket);
		request.resume().on('end', () => response.end(`${request.method} ${request.url}`));
	}));
	using client = new SmallClient();
	const warnings: Error[] = [];
	const warned = (warning: Error): void => void warnings.push(warning);
	process.on('warning', warned);
	for (let at = 0; at < 40; at++) {
		const {statusCode, body} = await client.send(message(new URL(`/v2/${at}`, url), at % 2 === 0 ? {} : {method: 'PUT', body: 'some'}));
		t.is(statusCode, 200);
		t.is(await textOf(body), `${at % 2 === 0 ? 'GET' : 'PUT'} /v2/${at}`);
	}
	await new Promise(resolve => setTimeout(resolve, 20));
	process.off('warning', warned);
	t.deepEqual(warnings, []);
	t.is(sockets.size, 1);
});

test('a kept connection that was closed meanwhile fails no request that may be asked again', async t => {
	let count = 0;
	const open = new Set<Socket>();
	const server = createTcpServer(socket => {
		open.add(socket);
		// Answers once, and closes when it is asked again.
		let isFirst = true;
		socket.on('error', () => undefined).on('data', () => {
			count++;
			if (isFirst) {
				isFirst = false;
				socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
			} else {
				socket.resetAndDestroy();
			}
		});
	});
	const url = await serve(t, server);
	using client = new SmallClient();
	t.is(await textOf((await client.send(message(url))).body), 'ok');
	t.is(await textOf((await client.send(message(url))).body), 'ok');
	t.is(count, 3);
	t.is(open.size, 2);
	const posted = client.send(message(url, {method: 'POST', body: 'x'}));
	await t.throwsAsync(posted, {message: /ECONNRESET|socket hang up/});
	t.is(count, 4);
});

test('no answer, a body that stalls, and a caller who gives up each have their end', async t => {
	const url = await serve(t, createServer((request, response) => {
		if (request.url === '/stalls') {
			response.writeHead(200, {'content-length': '10'}).write('some');
		}
	}));
	using client = new SmallClient();
	await t.throwsAsync(client.send(message(url, {headersTimeoutMs: 50, trust: {skipVerify: false, dialTimeoutMs: 50}})), {message: /headers timeout/});
	const {body} = await client.send(message(new URL('/stalls', url), {stallTimeoutMs: 60}));
	await t.throwsAsync(textOf(body), {message: /body timeout/});
	const giving = new AbortController();
	const given = client.send(message(url, {signal: giving.signal}));
	setTimeout(() => giving.abort(new Error('gave up')), 20);
	await t.throwsAsync(given);
	// Within the body too.
	const again = new AbortController();
	const begun = await client.send(message(new URL('/stalls', url), {signal: again.signal}));
	setTimeout(() => again.abort(new Error('gave up')), 20);
	await t.throwsAsync(textOf(begun.body));
});

test('a head beyond its bound, another protocol, and no server are errors', async t => {
	const url = await serve(t, createTcpServer(socket => {
		socket.on('error', () => undefined).once('data', bytes => {
			const isUpgrade = bytes.toString().includes('/upgrade');
			socket.end(isUpgrade ? 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n' : `HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(70_000)}\r\ncontent-length: 0\r\n\r\n`);
		});
	}));
	using client = new SmallClient();
	await t.throwsAsync(client.send(message(url)), {message: /overflow/i});
	await t.throwsAsync(client.send(message(new URL('/upgrade', url))), {message: /protocol/});
	await t.throwsAsync(client.send(message(new URL('http://127.0.0.1:9'))), {message: /ECONNREFUSED/});
});

test('an answer that ends early is no answer, and says so', async t => {
	const url = await serve(t, createServer((_request, response) => {
		response.writeHead(200, {'content-length': '10'}).write('some');
		setTimeout(() => response.destroy(), 20);
	}));
	using client = new SmallClient();
	const {body} = await client.send(message(url));
	await t.throwsAsync(textOf(body), {message: /unexpected EOF/});
});

test('what is left of a body is read up to a limit', async t => {
	const url = await serve(t, createServer((_request, response) => response.end('x'.repeat(200_000))));
	using client = new SmallClient();
	const {body} = await client.send(message(url));
	await body.dump({limit: 1000});
	const other = await client.send(message(url));
	await other.body.dump({limit: 1_000_000});
	t.pass();
});

async function serve(t: ExecutionContext, server: TcpServer): Promise<URL> {
	return new URL(`http://${await listening(t, server)}/`);
}
