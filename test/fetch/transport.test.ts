import {once} from 'node:events';
import {createServer as createPlainServer, request as plainRequest, type Server} from 'node:http';
import {createSecureServer} from 'node:http2';
import {connect, type AddressInfo, type Socket} from 'node:net';
import test from 'ava';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {proxyFor} from '../../plugins/fetch-oci/proxy.ts';
import {isPassing, retryDelayMs} from '../../plugins/fetch-oci/retry.ts';
import {Authority} from '../helpers/authority.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {clientOf, descriptorOf, pushBytes, readAll, treeOf} from './client.ts';
import {listening} from './listening.ts';

const manifest = Buffer.from('{}');
const big = Buffer.alloc(300_000, 'big ');
const {digest} = descriptorOf(manifest);
const manifestHeaders = {'content-type': mediaTypes.ociManifest, 'docker-content-digest': digest, 'content-length': String(manifest.length)};

test('a registry that speaks HTTP/2 is spoken to in it, over connections that are kept for what follows; a stalled stream of it is broken off', async t => {
	await using authority = await Authority.create();
	const {certificate, key} = await authority.issue('h2');
	const versions: string[] = [];
	let connections = 0;
	const server = createSecureServer({cert: certificate, key, allowHTTP1: true}, (request, response) => {
		versions.push(request.httpVersion);
		if (request.url.includes('/manifests/')) {
			response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest);
		} else if (request.headers.range === undefined) {
			response.writeHead(200, {'content-length': big.length}).end(big);
		} else {
			response.writeHead(206, {'content-range': `bytes 10-${big.length - 1}/${big.length}`}).write(big.subarray(10, 20));
		}
	}).on('connection', () => {
		connections++;
	});
	const host = await listening(t, server);
	const directory = await treeOf(t, {[`${host}/hosts.toml`]: `server = "https://${host}"\nca = "ca.crt"\n`, [`${host}/ca.crt`]: authority.root.certificate});
	await using client = clientOf({hostDirectories: [directory], stallTimeoutMs: 1500});
	await using repository = await client.resolve(`${host}/a:1`);
	const readThree = async (): Promise<void> => {
		const blobs = await Promise.all([1, 2, 3].map(async () => readAll(repository.open(descriptorOf(big)))));
		t.true(blobs.every(one => one.equals(big)));
	};
	await readThree();
	// One for documents, one for bodies, and as many more as were asked for before the first said that it speaks HTTP/2.
	t.true(connections <= 4, `${connections} connections`);
	const opened = connections;
	await readThree();
	t.is(connections, opened);
	t.deepEqual([...new Set(versions)], ['2.0']);
	await t.throwsAsync(readAll(repository.open(descriptorOf(big), {offset: 10})), {code: 'UNAVAILABLE'});
});

test('connections of HTTP/1.1 are kept for what follows', async t => {
	const sockets = new Set<unknown>();
	await using stub = await HttpStub.start((request, response) => {
		sockets.add(request.socket);
		response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest);
	});
	await using client = clientOf();
	for (let count = 0; count < 5; count++) {
		await using repository = await client.resolve(`${stub.host}/a:1`);
		t.deepEqual(await readAll(repository.open({...descriptorOf(manifest), mediaType: mediaTypes.ociManifest})), manifest);
	}
	t.true(sockets.size <= 2, `${sockets.size} connections for 10 requests`);
});

/** A proxy that notes what it was asked for and sends all of it to one place, whoever was meant. */
async function proxyTo(host: string): Promise<{readonly address: string; readonly asked: string[]} & AsyncDisposable> {
	const [name = '', port = ''] = host.split(':');
	const asked: string[] = [];
	const server: Server = createPlainServer((request, response) => {
		asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
		const {pathname, search} = new URL(request.url ?? '');
		request.pipe(plainRequest({host: name, port, method: request.method, path: pathname + search, headers: request.headers}, answer => {
			response.writeHead(answer.statusCode ?? 500, answer.headers);
			answer.pipe(response);
		}));
	}).on('connect', (request, socket: Socket) => {
		asked.push(`CONNECT ${request.url}`);
		const through = connect(Number(port), name, () => {
			socket.write('HTTP/1.1 200 ok\r\n\r\n');
			through.pipe(socket).pipe(through);
		}).on('error', () => socket.destroy());
		socket.on('error', () => through.destroy());
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	return {address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked, async [Symbol.asyncDispose]() {
		server.closeAllConnections();
		server.close();
	}};
}

test('registries are reached through the proxy that the environment names, plain and through a tunnel, loopback never', async t => {
	await using stub = await HttpStub.start((request, response) => response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest));
	await using plain = await proxyTo(stub.host);
	const environment = {http_proxy: `http://user:word@${plain.address}`, HTTPS_PROXY: plain.address, NO_PROXY: 'direct.invalid'};
	await using client = clientOf({environment});
	await using repository = await client.resolve('registry.invalid/a:1', {defaultScheme: 'http'});
	t.is(repository.descriptor.digest, digest);
	t.deepEqual(plain.asked, [`HEAD http://registry.invalid/v2/a/manifests/1 Basic ${Buffer.from('user:word').toString('base64')}`]);
	await using direct = await client.resolve(`${stub.host}/a:1`);
	t.is(direct.descriptor.digest, digest);
	t.is(plain.asked.length, 1);
	await t.throwsAsync(client.resolve('direct.invalid/a:1', {defaultScheme: 'http', signal: AbortSignal.timeout(20_000)}), {code: 'UNAVAILABLE', message: /ENOTFOUND|EAI_AGAIN|ECONNREFUSED/});
	await using authority = await Authority.create();
	const {certificate, key} = await authority.issue('tunnel');
	const secure = createSecureServer({cert: certificate, key, allowHTTP1: true}, (request, response) => {
		response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest);
	}).listen(0, '127.0.0.1');
	await once(secure, 'listening');
	t.teardown(() => secure.close());
	await using tunnel = await proxyTo(`127.0.0.1:${(secure.address() as AddressInfo).port}`);
	const directory = await treeOf(t, {'registry.invalid/hosts.toml': 'server = "https://registry.invalid"\nskip_verify = true\n'});
	await using tunnelled = clientOf({environment: {https_proxy: `http://${tunnel.address}`}, hostDirectories: [directory]});
	await using other = await tunnelled.resolve('registry.invalid/a:1');
	t.is(other.descriptor.digest, digest);
	t.deepEqual(tunnel.asked, ['CONNECT registry.invalid:443']);
});

test('a proxy is chosen as Go\'s programs choose it', t => {
	const chosen = (url: string, environment: Record<string, string>): string | undefined => proxyFor(new URL(url), environment)?.host;
	const both = {HTTP_PROXY: 'http://plain:1', HTTPS_PROXY: 'https://secure:2'};
	t.is(chosen('http://a.example', both), 'plain:1');
	t.is(chosen('https://a.example', both), 'secure:2');
	t.is(chosen('https://a.example', {https_proxy: 'bare:3'}), 'bare:3');
	t.is(chosen('https://a.example', {}), undefined);
	t.is(chosen('https://a.example', {https_proxy: 'socks5://x:1'}), undefined);
	for (const [exceptions, url, isDirect] of [
		['a.example', 'https://a.example', true], ['a.example', 'https://b.a.example', true], ['a.example', 'https://ba.example', false], ['.a.example', 'https://a.example', false],
		['.a.example', 'https://b.a.example', true], ['*.a.example', 'https://b.a.example', true], ['*', 'https://x', true], ['a.example:443', 'https://a.example', true], ['a.example:80', 'https://a.example', false],
		['10.0.0.0/8', 'https://10.1.2.3', true], ['10.0.0.0/8', 'https://11.1.2.3', false], ['10.1.2.3', 'https://10.1.2.3:5000', true], ['2001:db8::/32', 'https://[2001:db8::1]', true], ['2001:db8::1', 'https://[2001:db8::1]', true],
		['', 'https://localhost:5000', true], ['', 'https://127.3.4.5', true], ['', 'https://[::1]:5000', true], ['nonsense/99,10.0.0.0/99,,', 'https://10.1.2.3', false], [' b.example , A.example ', 'https://a.EXAMPLE', true],
	] as const) {
		t.is(chosen(url, {...both, no_proxy: exceptions}) === undefined, isDirect, `${exceptions} ${url}`);
	}
});

test('Retry-After is seconds or a date, and nobody waits for longer than half a minute', t => {
	t.is(retryDelayMs(1, '2'), 2000);
	t.is(retryDelayMs(1, '3600'), undefined);
	t.is(retryDelayMs(1, new Date(Date.now() - 5000).toUTCString()), 0);
	const soon = retryDelayMs(1, new Date(Date.now() + 5000).toUTCString()) ?? 0;
	t.true(soon > 3000 && soon <= 5000, String(soon));
	for (const nothing of ['', 'soon', '-']) {
		const delay = retryDelayMs(3, nothing) ?? 0;
		t.true(delay >= 600 && delay <= 1000, String(delay));
	}
	t.deepEqual([200, 404, 408, 429, 500, 501, 503].filter(isPassing), [408, 429, 500, 503]);
});

test('a registry that is asked too often is waited for as long as it says; one that wants an hour is told of, with its limits', async t => {
	let count = 0;
	await using stub = await HttpStub.start((request, response) => {
		const isPatient = request.url?.includes('/patient/') === true;
		if (isPatient || ++count === 1) {
			response.writeHead(429, {'retry-after': isPatient ? '3600' : '1', 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600'}).end('too many requests');
		} else {
			response.writeHead(200, {...manifestHeaders, 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '99;w=21600', warning: '299 - "this tag \\"1\\" goes\u00e9 soon"'}).end(request.method === 'HEAD' ? '' : manifest);
		}
	});
	await using client = clientOf();
	const before = Date.now();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	t.true(Date.now() - before >= 950);
	t.deepEqual(repository.notices?.(), [`${stub.host} allows 99 of 100 requests more in 21600 s`, `${stub.host} warns: this tag "1" goes? soon`]);
	const error = await t.throwsAsync(client.resolve(`${stub.host}/patient/a:1`), {code: 'RESOURCE_EXHAUSTED'});
	t.regex(error.message, /429 Too Many Requests; asked to wait until "3600"; .* allows 0 of 100 requests more in 21600 s/);
	t.is(stub.asked.length, 3);
});

test('a stalled body is broken off by its progress; one that trickles is not', async t => {
	await using stub = await HttpStub.start((request, response) => {
		if (request.url?.includes('/manifests/') === true) {
			response.writeHead(200, manifestHeaders).end();
			return;
		}
		response.writeHead(200, {'content-length': 10});
		let count = 0;
		const timer = setInterval(() => {
			response.write('x');
			if (++count === (request.url?.includes('/slow/') === true ? 10 : 3)) {
				clearInterval(timer);
			}
		}, 150);
	});
	await using client = clientOf({stallTimeoutMs: 1000});
	const blob = {...descriptorOf(Buffer.alloc(10, 'x'))};
	// Longer in all than a stall may last.
	await using slow = await client.resolve(`${stub.host}/slow/a:1`);
	t.is((await readAll(slow.open(blob))).length, 10);
	await using stalled = await client.resolve(`${stub.host}/a:1`);
	await t.throwsAsync(readAll(stalled.open(blob)), {code: 'UNAVAILABLE', message: /timeout/i});
});

test('parts of a blob: a registry without ranges is read as a whole, one that sends too little or breaks off is unavailable', async t => {
	const bytes = Buffer.from(Array.from({length: 100_000}, (_, at) => at % 251));
	const blob = descriptorOf(bytes);
	let asked: string[] = [];
	await using stub = await HttpStub.start((request, response) => {
		const {url = '', headers: {range = ''}} = request;
		const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
		const [start, end] = [Number(from), to === '' ? bytes.length : Number(to) + 1];
		if (url.includes('/manifests/')) {
			response.writeHead(200, manifestHeaders).end();
			return;
		}
		asked.push(range);
		if (url.includes('/whole/')) {
			response.writeHead(200).end(bytes);
		} else {
			const part = bytes.subarray(start, url.includes('/short/') && start > 0 ? end - 5 : url.includes('/long/') ? end + 50 : end);
			response.writeHead(206, {'content-range': `bytes ${start}-${start + part.length - 1}/${bytes.length}`});
			if (url.includes('/broken/') && start > 0) {
				response.write(part.subarray(0, 10), () => response.destroy());
			} else {
				response.end(part);
			}
		}
	});
	await using client = clientOf({ranges: {concurrency: 3, bytes: 16_384}});
	const read = async (name: string, offset = 0): Promise<Buffer> => {
		asked = [];
		await using repository = await client.resolve(`${stub.host}/${name}/a:1`);
		return await readAll(repository.open(blob, {offset}));
	};
	t.true((await read('good')).equals(bytes));
	t.is(asked.length, 7);
	t.true((await read('good', 70_000)).equals(bytes.subarray(70_000)));
	t.deepEqual(asked, ['bytes=70000-']);
	t.true((await read('whole', 5)).equals(bytes.subarray(5)));
	t.is(asked.length, 1);
	t.true((await read('long')).equals(bytes));
	await t.throwsAsync(read('short'), {code: 'UNAVAILABLE', message: /bytes 16384 to 32768 were asked for/});
	await t.throwsAsync(read('broken'), {code: 'UNAVAILABLE'});
});

test('a push that breaks goes on where the registry says that it stands', async t => {
	const bytes = Buffer.from(Array.from({length: 20 * 1024 * 1024}, (_, at) => (at * 7) % 253));
	let kept = Buffer.alloc(0);
	const patches: string[] = [];
	let mood = 0;
	await using stub = await HttpStub.start((request, response) => {
		const location = {location: `/v2/a/blobs/uploads/1?_state=${patches.length}`};
		if (request.method === 'HEAD') {
			response.writeHead(404).end();
		} else if (request.method === 'POST') {
			response.writeHead(202, location).end();
		} else if (request.method === 'GET') {
			response.writeHead(204, {...location, range: `0-${Math.max(0, kept.length - 1)}`}).end();
		} else {
			const parts: Buffer[] = [];
			const first = Number(/^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1] ?? kept.length);
			request.on('data', (part: Buffer) => parts.push(part)).on('end', () => {
				const body = Buffer.concat(parts);
				patches.push(`${request.method} ${first} ${body.length}`);
				if (first !== kept.length) {
					response.writeHead(416, {...location, range: `0-${kept.length - 1}`}).end();
				} else if (request.method === 'PATCH' && ++mood === 1) {
					// Half of it arrives, and the connection is lost.
					kept = Buffer.concat([kept, body.subarray(0, 3_000_000)]);
					request.socket.destroy();
				} else if (request.method === 'PATCH' && mood === 3) {
					// All of it arrives, and the answer is lost.
					kept = Buffer.concat([kept, body]);
					request.socket.destroy();
				} else {
					kept = Buffer.concat([kept, body]);
					response.writeHead(request.method === 'PUT' ? 201 : 202, {...location, range: `0-${kept.length - 1}`}).end();
				}
			});
		}
	});
	await using client = clientOf();
	await using target = await client.target(`${stub.host}/a:1`);
	await pushBytes(target, descriptorOf(bytes), bytes);
	t.true(kept.equals(bytes));
	t.is(patches.filter(one => one.startsWith('PUT')).length, 1);
});

for (const status of [400, 404, 405, 416, 501]) {
	test(`a registry that takes a second chunk with ${status} gets the blob in one piece, and all that follow`, async t => {
		const bytes = Buffer.alloc(17 * 1024 * 1024, 'piece');
		let uploads = 0;
		const sizes: string[] = [];
		await using stub = await HttpStub.start((request, response) => {
			let size = 0;
			request.on('data', (part: Buffer) => {
				size += part.length;
			}).on('end', () => {
				const {method = '', headers} = request;
				const location = {location: `/v2/a/blobs/uploads/${uploads}`};
				if (size > 0) {
					sizes.push(`${method} ${size}`);
				}
				if (method === 'HEAD') {
					response.writeHead(404).end();
				} else if (method === 'POST') {
					uploads++;
					response.writeHead(202, location).end();
				} else if (method === 'PATCH' && headers['content-range']?.startsWith('0-') === false || method === 'GET') {
					response.writeHead(status).end();
				} else {
					response.writeHead(method === 'PUT' ? 201 : 202, location).end();
				}
			});
		});
		await using client = clientOf();
		await using target = await client.target(`${stub.host}/a:1`);
		await t.throwsAsync(pushBytes(target, descriptorOf(bytes), bytes), {code: 'UNAVAILABLE', message: /cannot be pushed in chunks/});
		await pushBytes(target, descriptorOf(bytes), bytes);
		t.is(sizes.at(-1), `PUT ${bytes.length}`);
		await pushBytes(target, descriptorOf(bytes.subarray(1)), bytes.subarray(1));
		t.is(sizes.at(-1), `PUT ${bytes.length - 1}`);
		t.is(sizes.filter(one => one.startsWith('PATCH')).length, 2);
	});
}

test('a registry that stops reading what is pushed is broken off, and one that reads slowly is not', async t => {
	const bytes = Buffer.alloc(6 * 1024 * 1024, 'slow ');
	await using stub = await HttpStub.start((request, response) => {
		const isSlow = request.url?.includes('/slow/') === true;
		if (request.method === 'HEAD') {
			response.writeHead(404).end();
		} else if (request.method === 'POST') {
			response.writeHead(202, {location: `${request.url}1`}).end();
		} else if (isSlow) {
			request.on('data', () => {
				request.pause();
				setTimeout(() => request.resume(), 15);
			}).on('end', () => response.writeHead(201).end());
		}
		// What is not slow is never read.
	});
	await using client = clientOf({stallTimeoutMs: 2500});
	const before = Date.now();
	await using slow = await client.target(`${stub.host}/slow/a:1`);
	await pushBytes(slow, descriptorOf(bytes), bytes);
	t.true(Date.now() - before > 1000);
	await using stuck = await client.target(`${stub.host}/stuck/a:1`);
	await t.throwsAsync(pushBytes(stuck, descriptorOf(bytes), bytes), {code: 'UNAVAILABLE', message: /nothing of the request was taken|aborted/i});
});

test('a foreign layer comes from its own addresses, whose owners are told nothing, and else from the registry', async t => {
	const bytes = Buffer.from('foreign bytes');
	await using elsewhere = await HttpStub.start((request, response) => response.writeHead(request.url === '/layer' ? 200 : 404).end(bytes));
	await using stub = await HttpStub.start((request, response) => {
		if (request.url?.includes('/manifests/') === true) {
			response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest);
		} else {
			response.writeHead(200).end(bytes);
		}
	});
	const layer = {...descriptorOf(bytes), mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'};
	await using client = clientOf();
	await using repository = await client.resolve(`${stub.host}/a:1`, {credentials: async () => ({username: 'me', secret: 'word'}), headers: new Map([['x-mine', 'secret']])});
	t.deepEqual(await readAll(repository.open({...layer, urls: ['file:///etc/passwd', 'nonsense', `http://${elsewhere.host}/none`, `http://${elsewhere.host}/layer`]})), bytes);
	t.deepEqual(elsewhere.asked.map(({url, headers}) => [url, headers['x-mine'], headers.authorization]), [['/none', undefined, undefined], ['/layer', undefined, undefined]]);
	const before = stub.asked.length;
	t.deepEqual(await readAll(repository.open({...layer, urls: [`http://${elsewhere.host}/none`]})), bytes);
	// What is no foreign layer is the registry's.
	t.deepEqual(await readAll(repository.open({...descriptorOf(bytes), urls: [`http://${elsewhere.host}/layer`]})), bytes);
	t.is(stub.asked.length, before + 2);
	t.is(elsewhere.asked.length, 3);
});

test('referrers come page by page, by type, or from the tag of older registries', async t => {
	const one = (artifactType: string): object => ({...descriptorOf(Buffer.from(artifactType), mediaTypes.ociManifest), artifactType});
	await using stub = await HttpStub.start((request, response, {host}) => {
		const url = new URL(request.url ?? '', `http://${host}`);
		if (url.pathname.includes('/referrers/') && !url.pathname.includes('/old/')) {
			const page = url.searchParams.get('page') ?? '1';
			const link = page === '1' ? {link: `<${url.pathname}?page=2>; rel="next"`} : url.pathname.includes('/endless/') ? {link: `<${url.pathname}?page=${Number(page) + 1}>; rel="next"`} : {};
			response.writeHead(200, {'content-type': mediaTypes.ociIndex, ...link}).end(JSON.stringify({schemaVersion: 2, manifests: page === '1' ? [one('a/sbom'), one('a/signature')] : [one('a/sbom')]}));
		} else if (url.pathname.endsWith(`/manifests/${digest.replace(':', '-')}`)) {
			response.writeHead(200, {'content-type': mediaTypes.ociIndex}).end(JSON.stringify({schemaVersion: 2, manifests: [one('a/tagged')]}));
		} else if (url.pathname.includes('/manifests/')) {
			response.writeHead(200, manifestHeaders).end();
		} else {
			response.writeHead(404).end();
		}
	});
	await using client = clientOf();
	const types = async (name: string, artifactType?: string): Promise<(string | undefined)[]> => {
		await using repository = await client.resolve(`${stub.host}/${name}/a:1`);
		return (await repository.referrers(digest, artifactType === undefined ? {} : {artifactType})).map(each => each.artifactType);
	};
	t.deepEqual(await types('new'), ['a/sbom', 'a/signature', 'a/sbom']);
	t.deepEqual(await types('new', 'a/signature'), ['a/signature']);
	t.deepEqual(await types('old'), ['a/tagged']);
	await t.throwsAsync(types('endless'), {code: 'RESOURCE_EXHAUSTED'});
});

test('a mirror is told for whom it stands; what is pushed goes to no mirror that cannot take it', async t => {
	await using mirror = await HttpStub.start((request, response) => response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest));
	await using origin = await HttpStub.start((request, response) => response.writeHead(request.method === 'HEAD' ? 404 : request.method === 'POST' ? 202 : 201, {location: '/v2/a/blobs/uploads/1'}).end());
	const directory = await treeOf(t, {'example.com/hosts.toml': `server = "http://${origin.host}"\n[host."http://${mirror.host}"]\ncapabilities = ["pull", "resolve"]\n`});
	await using client = clientOf({hostDirectories: [directory]});
	await using repository = await client.resolve('example.com/a:1');
	t.is(repository.descriptor.digest, digest);
	t.is(mirror.asked[0]?.url, '/v2/a/manifests/1?ns=example.com');
	await using target = await client.target('example.com/a:1');
	await pushBytes(target, descriptorOf(manifest), manifest);
	t.is(mirror.asked.length, 1);
	t.deepEqual(origin.asked.map(({method}) => method), ['HEAD', 'POST', 'PUT']);
});

test('a connection that does not come about in dial_timeout is given up, for the next host', async t => {
	await using stub = await HttpStub.start((request, response) => response.writeHead(200, manifestHeaders).end(request.method === 'HEAD' ? '' : manifest));
	// An address of documentation (RFC 5737): nobody answers there, or the route is refused at once.
	const directory = await treeOf(t, {'example.com/hosts.toml': `server = "http://${stub.host}"\n[host."http://192.0.2.1:5000"]\ncapabilities = ["pull", "resolve"]\ndial_timeout = "200ms"\n`});
	await using client = clientOf({hostDirectories: [directory]});
	const before = Date.now();
	await using repository = await client.resolve('example.com/a:1');
	t.is(repository.descriptor.digest, digest);
	t.true(Date.now() - before < 15_000);
});
