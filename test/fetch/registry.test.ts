import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import type {ServerResponse} from 'node:http';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {HttpClient} from '../../plugins/fetch-oci/http-client.ts';
import {OciRegistry} from '../../plugins/fetch-oci/registry.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {Registry} from '../helpers/registry.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {digestOf, readAll} from './client.ts';

const manifest = Buffer.from(JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: {}, layers: []}));
const manifestDigest = digestOf(manifest);
const layer: Descriptor = {mediaType: mediaTypes.ociLayerGzip, digest: digestOf(Buffer.from('0123456789')), size: 10};

test('an image of a real registry resolves, and its bytes come whole or from an offset', async t => {
	await using real = await Registry.start();
	const {busybox} = await pushTestImages(real);
	await using client = registry();
	await using repository = await client.resolve(busybox);
	t.is(repository.descriptor.mediaType, mediaTypes.ociManifest);
	const bytes = await readAll(repository.open(repository.descriptor));
	t.is(digestOf(bytes), repository.descriptor.digest);
	const {layers: [first]} = JSON.parse(bytes.toString()) as {layers: Descriptor[]};
	const whole = await readAll(repository.open(first as Descriptor));
	t.true(digestOf(whole) === first?.digest);
	t.deepEqual(await readAll(repository.open(first as Descriptor, {offset: 1000})), whole.subarray(1000));
	t.deepEqual(await repository.referrers(repository.descriptor.digest), []);
	await t.throwsAsync(client.resolve(busybox.replace(':latest', ':never')), {code: 'NOT_FOUND'});
});

test('what is pushed to a real registry can be fetched from it, and is not pushed twice', async t => {
	await using real = await Registry.start();
	await using client = registry();
	const blob = Buffer.from('0123456789');
	const config = Buffer.from('{}');
	const configured = Buffer.from(JSON.stringify({
		schemaVersion: 2, mediaType: mediaTypes.ociManifest,
		config: {mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length}, layers: [layer],
	}));
	const root: Descriptor = {mediaType: mediaTypes.ociManifest, digest: digestOf(configured), size: configured.length};
	const parts: readonly (readonly [Descriptor, Buffer])[] = [[layer, blob], [{mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length}, config], [root, configured]];
	await using target = await client.target(`${real.host}/a/b:1`);
	for (const [descriptor, bytes] of parts) {
		await using writer = await target.push(descriptor);
		await writer?.write(bytes);
		await writer?.commit();
	}
	for (const [descriptor] of parts) {
		t.is(await target.push(descriptor), undefined);
	}
	await using repository = await client.resolve(`${real.host}/a/b:1`);
	t.is(repository.descriptor.digest, root.digest);
	t.deepEqual(await readAll(repository.open(layer)), blob);
	// Another repository of the same registry takes the blob without its bytes.
	await using other = await client.target(`${real.host}/c:1`);
	t.is(await other.push(layer, {mountFrom: 'a/b'}), undefined);
});

test('a blob that is given other bytes than its descriptor says is not pushed', async t => {
	await using real = await Registry.start();
	await using client = registry();
	await using target = await client.target(`${real.host}/a:1`);
	{
		await using writer = await target.push(layer);
		await writer?.write(Buffer.from('9876543210'));
		await t.throwsAsync(async () => writer?.commit(), {code: 'INVALID_ARGUMENT'});
	}
	await using short = await target.push(layer);
	await short?.write(Buffer.from('01234'));
	await t.throwsAsync(async () => short?.commit(), {code: 'INVALID_ARGUMENT'});
});

for (const [status, code] of [[404, 'NOT_FOUND'], [403, 'PERMISSION_DENIED'], [400, 'INVALID_ARGUMENT'], [401, 'UNAUTHENTICATED']] as const) {
	test(`a registry that answers ${status} rejects with ${code}, and says what was asked`, async t => {
		await using stub = await HttpStub.start((_request, response) => response.writeHead(status).end('no'));
		await using client = registry();
		const error = await t.throwsAsync(client.resolve(`${stub.host}/a:1`), {code});
		t.regex(error.message, new RegExp(`${stub.host}/v2/a/manifests/1.*${status}`));
	});
}

test('a registry that fails is asked again, and in the end is unavailable', async t => {
	await using stub = await HttpStub.start((_request, response) => response.writeHead(500).end());
	await using client = registry();
	await t.throwsAsync(client.resolve(`${stub.host}/a:1`), {code: 'UNAVAILABLE'});
	t.is(stub.asked.length, 4);
});

test('a registry that fails once is forgiven', async t => {
	let asked = 0;
	await using stub = await HttpStub.start((_request, response) => {
		if (++asked === 1) {
			response.writeHead(503).end();
		} else {
			answerManifest(response);
		}
	});
	await using client = registry();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	t.is(repository.descriptor.digest, manifestDigest);
});

test('nobody listening, garbage and silence are unavailable', async t => {
	await using client = registry({stallTimeoutMs: 300});
	await t.throwsAsync(client.resolve('127.0.0.1:1/a:1'), {code: 'UNAVAILABLE'});
	await using garbage = await HttpStub.start((request, _response) => request.socket.end('garbage\r\n\r\n'));
	await t.throwsAsync(client.resolve(`${garbage.host}/a:1`), {code: 'UNAVAILABLE'});
	await using silent = await HttpStub.start((request, response) => {
		if (request.url?.includes('manifests') === true) {
			answerManifest(response);
		} else {
			response.writeHead(200, {'content-length': '10'}).write('012');
		}
	});
	await using repository = await client.resolve(`${silent.host}/a:1`);
	await t.throwsAsync(readAll(repository.open(layer)), {code: 'UNAVAILABLE'});
});

test('a body that is cut short is unavailable', async t => {
	await using stub = await HttpStub.start((request, response) => {
		if (request.url?.includes('manifests') === true) {
			answerManifest(response);
		} else {
			response.writeHead(200, {'content-length': '10'}).write('012', () => {
				request.socket.destroy();
			});
		}
	});
	await using client = registry();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	await t.throwsAsync(readAll(repository.open(layer)), {code: 'UNAVAILABLE'});
});

test('a registry that knows no ranges is read and skipped', async t => {
	await using stub = await HttpStub.start((request, response) => {
		if (request.url?.includes('manifests') === true) {
			answerManifest(response);
		} else {
			response.writeHead(200).end('0123456789');
		}
	});
	await using client = registry();
	await using repository = await client.resolve(`${stub.host}/a:1`);
	t.is((await readAll(repository.open(layer, {offset: 4}))).toString(), '456789');
});

test('a manifest whose digest is not what was asked for is refused', async t => {
	await using stub = await HttpStub.start((_request, response) => response.writeHead(200, {'content-type': mediaTypes.ociManifest}).end('{"other":1}'));
	await using client = registry();
	await t.throwsAsync(client.resolve(`${stub.host}/a@${manifestDigest}`), {code: 'FAILED_PRECONDITION'});
});

test('apple/container: a registry that answers with a malformed digest is refused', async t => {
	await using stub = await HttpStub.start((_request, response) => response.writeHead(200, {'content-type': mediaTypes.ociManifest, 'docker-content-digest': 'sha256:../../etc'}).end('{}'));
	await using client = registry();
	await t.throwsAsync(client.resolve(`${stub.host}/a:1`), {code: 'INVALID_ARGUMENT'});
});

test('a token is fetched with credentials for the scope, and sent with what follows', async t => {
	await using stub = await tokenRegistry();
	await using client = registry();
	await using repository = await client.resolve(`${stub.host}/a/b:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
	t.is(repository.descriptor.digest, manifestDigest);
	const asked = stub.asked.find(({url}) => url.startsWith('/token'));
	t.is(asked?.authorization, `Basic ${Buffer.from('me:word').toString('base64')}`);
	t.is(new URL(asked?.url ?? '', 'http://x').searchParams.get('scope'), 'repository:a/b:pull');
	t.is(stub.asked.at(-1)?.authorization, 'Bearer t0ken');
});

test('a token server of another domain never sees credentials', async t => {
	await using elsewhere = await HttpStub.start((_request, response) => response.writeHead(200, {'content-type': 'application/json'}).end('{"token":"t0ken"}'));
	const realm = `http://localhost:${elsewhere.host.split(':')[1]}/token`;
	await using stub = await HttpStub.start((request, response) => {
		if (request.headers.authorization === undefined) {
			response.writeHead(401, {'www-authenticate': `Bearer realm="${realm}",service="x"`}).end();
		} else {
			answerManifest(response);
		}
	});
	await using client = registry();
	await using repository = await client.resolve(`${stub.host}/a:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
	t.is(repository.descriptor.digest, manifestDigest);
	t.deepEqual(elsewhere.asked.map(({authorization}) => authorization), [undefined]);
	await using trusting = registry({trustedRealms: [`localhost:${elsewhere.host.split(':')[1]}`]});
	await using again = await trusting.resolve(`${stub.host}/a:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
	t.is(again.descriptor.digest, manifestDigest);
	t.truthy(elsewhere.asked.at(-1)?.authorization);
});

test('a redirect to another host leaves the token behind', async t => {
	await using store = await HttpStub.start((_request, response) => response.writeHead(200).end('0123456789'));
	await using stub = await tokenRegistry((response, url) => {
		if (url.includes('/blobs/')) {
			response.writeHead(307, {location: `http://${store.host}/object?signature=x`}).end();
			return true;
		}
		return false;
	});
	await using client = registry();
	await using repository = await client.resolve(`${stub.host}/a:1`, {credentials: async () => ({username: 'me', secret: 'word'})});
	t.is((await readAll(repository.open(layer))).toString(), '0123456789');
	t.deepEqual(store.asked.map(({authorization}) => authorization), [undefined]);
});

test('redirects that go round end', async t => {
	await using stub = await HttpStub.start((request, response) => response.writeHead(302, {location: `${request.url}x`}).end());
	await using client = registry();
	await t.throwsAsync(client.resolve(`${stub.host}/a:1`), {code: 'UNAVAILABLE'});
});

test('hosts.toml sends pulls to a mirror first, and falls back to the registry', async t => {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-hosts-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	await using origin = await HttpStub.start((_request, response) => {
		answerManifest(response);
	});
	await using mirror = await HttpStub.start((_request, response) => response.writeHead(404).end());
	await mkdir(path.join(directory, 'example.com'));
	await writeFile(path.join(directory, 'example.com', 'hosts.toml'), `server = "http://${origin.host}"\n[host."http://${mirror.host}"]\ncapabilities = ["pull", "resolve"]\n[host."http://${mirror.host}".header]\nX-Mirror = "yes"\n`);
	await using client = registry({hostDirectories: [directory]});
	await using repository = await client.resolve('example.com/a:1');
	t.is(repository.descriptor.digest, manifestDigest);
	t.is(mirror.asked[0]?.headers['x-mirror'], 'yes');
	t.is(origin.asked.length, 1);
	await writeFile(path.join(directory, 'example.com', 'hosts.toml'), 'server = [');
	const error = await t.throwsAsync(client.resolve('example.com/a:1'), {code: 'INVALID_ARGUMENT'});
	t.regex(error.message, /example\.com\/hosts\.toml/);
});

test('a reference that does not parse is refused before anything is asked', async t => {
	await using client = registry();
	for (const reference of ['', 'busybox', 'Host/UPPER', 'host/a:b:c', 'host/a@sha256:12', '/a', 'host/a b']) {
		await t.throwsAsync(client.resolve(reference), {code: 'INVALID_ARGUMENT'}, reference);
	}
});

test('an aborted request is cancelled', async t => {
	await using stub = await HttpStub.start(() => undefined);
	await using client = registry();
	const controller = new AbortController();
	setTimeout(() => {
		controller.abort();
	}, 50);
	await t.throwsAsync(client.resolve(`${stub.host}/a:1`, {signal: controller.signal}), {code: 'CANCELLED'});
});

function registry(options: {stallTimeoutMs?: number; trustedRealms?: readonly string[]; hostDirectories?: readonly string[]} = {}): OciRegistry & AsyncDisposable {
	const http = new HttpClient({stallTimeoutMs: options.stallTimeoutMs ?? 5000, userAgent: 'keelson/test'});
	return Object.assign(new OciRegistry({http, hostDirectories: options.hostDirectories ?? [], trustedRealms: options.trustedRealms ?? []}), {
		[Symbol.asyncDispose]: async () => http[Symbol.asyncDispose](),
	});
}

/** Its own token server, as many registries are. */
async function tokenRegistry(first: (response: ServerResponse, url: string) => boolean = () => false): Promise<HttpStub> {
	return HttpStub.start((request, response, {host}) => {
		const url = request.url ?? '';
		if (url.startsWith('/token')) {
			response.writeHead(200, {'content-type': 'application/json'}).end('{"token":"t0ken"}');
		} else if (request.headers.authorization !== 'Bearer t0ken') {
			response.writeHead(401, {'www-authenticate': `Bearer realm="http://${host}/token",service="x"`}).end();
		} else if (!first(response, url)) {
			answerManifest(response);
		}
	});
}

function answerManifest(response: ServerResponse): void {
	response.writeHead(200, {'content-type': mediaTypes.ociManifest, 'docker-content-digest': manifestDigest, 'content-length': String(manifest.length)}).end(manifest);
}
