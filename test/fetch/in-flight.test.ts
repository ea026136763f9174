import {execFile} from 'node:child_process';
import type {ServerResponse} from 'node:http';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {HttpStub} from '../helpers/http-stub.ts';
import {clientOf, descriptorOf, digestOf} from './client.ts';
import type {Peak} from './slow-reader.ts';

const MEBIBYTE = 1024 * 1024;
const BOUND = 16 * MEBIBYTE;
const manifest = Buffer.from('{}');
const chunk = Buffer.alloc(MEBIBYTE, 'layer ');
/** Never in memory as a whole, on either side. */
const layer: Descriptor = {mediaType: mediaTypes.ociLayer, digest: digestOf(Buffer.from('what its bytes hash to, nobody asks')), size: 200 * MEBIBYTE};

/** Sends the layer's bytes as fast as they are taken, in ranges or whole, and says what was asked for. */
async function registryOf(asked: (bytes: number) => void = () => undefined): Promise<HttpStub> {
	return HttpStub.start((request, response) => {
		if (request.url?.includes('/manifests/') === true) {
			response.writeHead(200, {'content-type': mediaTypes.ociManifest, 'docker-content-digest': descriptorOf(manifest).digest, 'content-length': manifest.length}).end(request.method === 'HEAD' ? '' : manifest);
			return;
		}
		const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
		const start = Number(from ?? 0);
		const end = to === undefined || to === '' ? layer.size : Number(to) + 1;
		asked(end - start);
		response.writeHead(from === undefined ? 200 : 206, {'content-length': end - start, ...from === undefined ? {} : {'content-range': `bytes ${start}-${end - 1}/${layer.size}`}});
		send(response, end - start);
	});
}

function send(response: ServerResponse, bytes: number): void {
	for (let left = bytes; left > 0 && !response.destroyed; left -= chunk.length) {
		if (!response.write(left < chunk.length ? chunk.subarray(0, left) : chunk)) {
			response.once('drain', () => send(response, left - chunk.length));
			return;
		}
	}
	response.end();
}

for (const [concurrency, bytes] of [[16, MEBIBYTE], [4, 4 * MEBIBYTE], [2, 8 * MEBIBYTE]] as const) {
	test(`of a layer in ${concurrency} parts of ${bytes} bytes no more than 16 MiB are anywhere between the registry and who reads slowly`, async t => {
		let asked = 0;
		let taken = 0;
		let peak = 0;
		await using stub = await registryOf(more => {
			asked += more;
			peak = Math.max(peak, asked - taken);
		});
		await using client = clientOf({ranges: {concurrency, bytes}});
		await using repository = await client.resolve(`${stub.host}/a:1`);
		for await (const part of repository.open(layer)) {
			// Long enough for all that may be asked for meanwhile.
			await sleep(2);
			taken += part.length;
		}
		t.is(taken, layer.size);
		t.true(peak <= BOUND, `${peak} bytes`);
		// All parts are under way at once: the bound is reached, not avoided.
		t.true(peak > BOUND - 2 * bytes, `${peak} bytes`);
	});
}

for (const [what, ...parts] of [['in one answer', '1', '4194304'], ['in 16 parts', '16', '1048576'], ['in 4 parts', '4', '4194304']] as const) {
	test(`a process that reads a layer of 200 MiB ${what}, slower than it comes, and keeps nothing of it grows by less than 64 MiB`, async t => {
		await using stub = await registryOf();
		const program = fileURLToPath(new URL('./slow-reader.ts', import.meta.url));
		const {stdout} = await promisify(execFile)(process.execPath, ['--expose-gc', program, `${stub.host}/a:1`, JSON.stringify(layer), ...parts]);
		const {taken, bytes} = JSON.parse(stdout) as Peak;
		t.log(`${bytes} bytes`);
		t.is(taken, layer.size);
		// What is in flight, the pieces of the thread, and what no collection was worth yet; hundreds of MiB where it is kept or made anew for each part.
		t.true(bytes < 4 * BOUND, `${bytes} bytes`);
	});
}
