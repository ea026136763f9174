import {createHash} from 'node:crypto';
import test from 'ava';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {HttpClient} from '../../plugins/fetch-oci/http-client.ts';
import {OciRegistry} from '../../plugins/fetch-oci/registry.ts';
import {HttpStub} from '../helpers/http-stub.ts';

const descriptorOf = (text: string, mediaType: string): Descriptor => ({mediaType, digest: `sha256:${createHash('sha256').update(text).digest('hex')}`, size: text.length});
const layer = descriptorOf('0123456789', mediaTypes.ociLayerGzip);
const manifest = descriptorOf('{}', mediaTypes.ociManifest);

function client(): OciRegistry & AsyncDisposable {
	const http = new HttpClient({stallTimeoutMs: 5000, userAgent: 'keelson/test'});
	return Object.assign(new OciRegistry({http, hostDirectories: [], trustedRealms: []}), {[Symbol.asyncDispose]: async () => http[Symbol.asyncDispose]()});
}

/** Serves the manifest, and blobs with this range. */
async function ranged(range: string, body: string): Promise<HttpStub> {
	return HttpStub.start((request, response) => {
		if (request.url?.includes('manifests') === true) {
			response.writeHead(200, {'content-type': manifest.mediaType, 'docker-content-digest': manifest.digest, 'content-length': manifest.size}).end(request.method === 'HEAD' ? '' : '{}');
		} else {
			response.writeHead(206, {'content-range': range}).end(body);
		}
	});
}

test('a range that begins earlier than asked is cut to what was asked for', async t => {
	await using stub = await ranged('bytes 2-9/10', '23456789');
	await using registry = client();
	await using repository = await registry.resolve(`${stub.host}/a:1`);
	t.is(Buffer.concat(await Array.fromAsync(repository.open(layer, {offset: 4}))).toString(), '456789');
});

test('a range that begins later than asked is no answer', async t => {
	await using stub = await ranged('bytes 6-9/10', '6789');
	await using registry = client();
	await using repository = await registry.resolve(`${stub.host}/a:1`);
	await t.throwsAsync(Array.fromAsync(repository.open(layer, {offset: 4})), {code: 'UNAVAILABLE', message: /bytes 6-9/});
});

test('a tag that is there without saying what it is is pushed all the same; a blob that is there is not', async t => {
	await using stub = await HttpStub.start((request, response) => {
		response.writeHead(request.method === 'PUT' ? 201 : 200).end();
	});
	await using registry = client();
	await using target = await registry.target(`${stub.host}/a:1`);
	t.is(await target.push(layer), undefined);
	t.is(await target.push(manifest, {byDigest: true}), undefined);
	await using writer = await target.push(manifest);
	await writer?.write(Buffer.from('{}'));
	await writer?.commit();
	t.is(stub.asked.at(-1)?.method, 'PUT');
});

test('a registry that answers before it has read all does not hold us up', async t => {
	const big = {...layer, size: 64 * 1024 * 1024};
	await using stub = await HttpStub.start((request, response) => {
		if (request.method === 'HEAD') {
			response.writeHead(404).end();
		} else if (request.method === 'POST') {
			response.writeHead(202, {location: '/v2/a/blobs/uploads/1'}).end();
		} else {
			response.writeHead(201).end();
		}
	});
	await using registry = client();
	await using target = await registry.target(`${stub.host}/a:1`);
	await using writer = await target.push(big);
	try {
		for (let sent = 0; sent < big.size; sent += 1024 * 1024) {
			await writer?.write(Buffer.alloc(1024 * 1024));
		}
		await writer?.commit();
	} catch (error) {
		// Whether the answer or the reset of the connection is seen first is the network's to say.
		t.is((error as {code?: string}).code, 'UNAVAILABLE');
	}
	t.pass();
});

test('a registry that knows no HEAD is asked for the manifest itself', async t => {
	await using stub = await HttpStub.start((request, response) => {
		if (request.method === 'HEAD') {
			response.writeHead(405).end();
		} else {
			response.writeHead(200, {'content-type': manifest.mediaType}).end('{}');
		}
	});
	await using registry = client();
	await using repository = await registry.resolve(`${stub.host}/a:1`);
	t.deepEqual(repository.descriptor, manifest);
});
