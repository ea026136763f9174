import {randomBytes} from 'node:crypto';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import type {Repository} from '../../contracts/fetch/fetch.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {Authority} from '../helpers/authority.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {until} from '../helpers/until.ts';
import {clientOf, descriptorOf, readAll, treeOf} from './client.ts';

// Answers of 1 MiB and more are read in another thread.
const MEBIBYTE = 1024 * 1024;
const manifest = Buffer.from('{}');
const large = randomBytes(5 * MEBIBYTE + 3);
const manifestHeaders = {'content-type': mediaTypes.ociManifest, 'docker-content-digest': descriptorOf(manifest).digest, 'content-length': String(manifest.length)};

/** A registry whose blobs are answered as the test says. */
async function registryOf(answer: Parameters<typeof HttpStub.start>[0]): Promise<HttpStub> {
	return HttpStub.start((request, response, stub) => {
		if (request.url?.includes('/manifests/') === true) {
			response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest);
			return;
		}
		answer(request, response, stub);
	});
}

async function firstPiece(repository: Repository, signal?: AbortSignal): Promise<AsyncIterator<Uint8Array>> {
	const bytes = repository.open(descriptorOf(large), signal === undefined ? {} : {signal})[Symbol.asyncIterator]();
	await bytes.next();
	return bytes;
}

test('large blobs come whole, several at once, in few pieces', async t => {
	await using stub = await registryOf((_request, response) => response.writeHead(200, {'content-length': large.length}).end(large));
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	const all = await Promise.all([1, 2, 3].map(async () => Array.fromAsync(repository.open(descriptorOf(large)), chunk => Buffer.from(chunk))));
	for (const pieces of all) {
		t.true(Buffer.concat(pieces).equals(large));
		t.true(pieces.length < 60, `${pieces.length} pieces`);
	}
});

test('what comes slowly is given on before a piece is full', async t => {
	await using stub = await registryOf((_request, response) => {
		response.writeHead(200, {'content-length': large.length});
		response.write(large.subarray(0, 10));
	});
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	const bytes = repository.open(descriptorOf(large))[Symbol.asyncIterator]();
	t.deepEqual(Buffer.from((await bytes.next()).value as Uint8Array), large.subarray(0, 10));
	await bytes.return?.();
});

test('memory is used again by other answers, but not while somebody is still at it, whatever became of his download', async t => {
	const other = Buffer.alloc(large.length, 'other');
	await using stub = await registryOf((request, response) => {
		const blob = request.url?.endsWith(descriptorOf(other).digest) === true ? other : large;
		response.writeHead(200, {'content-length': blob.length}).end(blob);
	});
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	const own = new AbortController();
	const bytes = repository.open(descriptorOf(large), {signal: own.signal})[Symbol.asyncIterator]();
	const held = (await bytes.next()).value as Uint8Array;
	own.abort();
	const memory = new Set<unknown>();
	for (let count = 0; count < 10; count++) {
		let at = 0;
		for await (const chunk of repository.open(descriptorOf(other))) {
			t.true(other.subarray(at, at + chunk.length).equals(chunk));
			at += chunk.length;
			memory.add(chunk.buffer);
		}
	}
	t.true(memory.size <= 12, `${memory.size} pieces for ten answers`);
	t.false(memory.has(held.buffer));
	t.true(Buffer.from(held).equals(large.subarray(0, held.length)));
	await t.throwsAsync(async () => bytes.next(), {code: 'CANCELLED'});
});

test('whoever does not read holds the registry up, and lets it go when he stops', async t => {
	const blob = Buffer.alloc(64 * MEBIBYTE, 'blob');
	let sent = 0;
	let isClosed = false;
	await using stub = await registryOf((_request, response) => {
		response.writeHead(200, {'content-length': blob.length}).on('close', () => {
			isClosed = true;
		});
		const send = (): void => {
			while (sent < blob.length && !response.destroyed) {
				sent += MEBIBYTE;
				if (!response.write(blob.subarray(sent - MEBIBYTE, sent))) {
					response.once('drain', send);
					return;
				}
			}
		};
		send();
	});
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	const bytes = repository.open({...descriptorOf(large), size: blob.length})[Symbol.asyncIterator]();
	await bytes.next();
	await sleep(500);
	t.true(sent < 32 * MEBIBYTE, `${sent} bytes were sent to nobody`);
	t.false(isClosed);
	await bytes.return?.();
	await until('the connection to be closed', async () => isClosed);
});

test('a large blob that stalls, breaks off or is refused is told as a small one is', async t => {
	let isStalling = true;
	await using stub = await registryOf((request, response) => {
		if (request.headers.range !== undefined) {
			response.writeHead(404).end('no such blob here');
			return;
		}
		response.writeHead(200, {'content-length': large.length}).write(large.subarray(0, 100), () => isStalling || response.destroy());
	});
	await using client = clientOf({stallTimeoutMs: 1500});
	await using repository = await client.resolve(`${stub.host}/a:1`);
	await t.throwsAsync(readAll(repository.open(descriptorOf(large))), {code: 'UNAVAILABLE', message: /download of sha256.*[Tt]imeout/v});
	isStalling = false;
	await t.throwsAsync(readAll(repository.open(descriptorOf(large))), {code: 'UNAVAILABLE', message: /download of sha256/v});
	await t.throwsAsync(readAll(repository.open(descriptorOf(large), {offset: 7})), {code: 'NOT_FOUND', message: /no such blob here/v});
});

test('a large download ends with its signal, with its repository and with the client', async t => {
	await using stub = await registryOf((_request, response) => {
		response.writeHead(200, {'content-length': large.length}).write(large.subarray(0, 100));
	});
	const client = clientOf();
	const repository = await client.resolve(`${stub.host}/a:1`);
	const own = new AbortController();
	const cancelled = await firstPiece(repository, own.signal);
	own.abort();
	await t.throwsAsync(async () => cancelled.next(), {code: 'CANCELLED'});
	const other = await client.resolve(`${stub.host}/a:1`);
	const left = await firstPiece(other);
	await other[Symbol.asyncDispose]();
	await t.throwsAsync(async () => left.next(), {code: 'CANCELLED'});
	const last = await firstPiece(repository);
	await client[Symbol.asyncDispose]();
	await t.throwsAsync(async () => last.next(), {code: 'UNAVAILABLE'});
	await repository[Symbol.asyncDispose]();
});

test('a large blob may lie elsewhere, behind an authority that the host\'s tree names', async t => {
	await using authority = await Authority.create();
	const {certificate, key} = await authority.issue('large');
	const seen: (string | undefined)[] = [];
	const server = createServer({cert: certificate, key}, (request, response) => {
		seen.push(request.headers.authorization);
		if (request.url?.includes('/manifests/') === true) {
			response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest);
		} else if (request.url?.startsWith('/elsewhere') === true) {
			response.writeHead(200, {'content-length': large.length}).end(large);
		} else if (request.headers.authorization === undefined) {
			response.writeHead(401, {'www-authenticate': 'Basic realm="here"'}).end();
		} else {
			response.writeHead(307, {location: '/elsewhere'}).end();
		}
	});
	await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	const directory = await treeOf(t, {[`${host}/hosts.toml`]: `server = "https://${host}"\nca = "ca.crt"\n`, [`${host}/ca.crt`]: authority.root.certificate});
	await using client = clientOf({hostDirectories: [directory]});
	await using repository = await client.resolve(`${host}/a:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
	t.true((await readAll(repository.open(descriptorOf(large)))).equals(large));
	t.is(seen.at(-1), `Basic ${Buffer.from('me:word').toString('base64')}`);
});
