import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {hostPlatform} from '../../contracts/oci/platform.ts';
import {inPieces, intoMemory, storiesOf, type Corner} from '../../contracts/transfer/transfer-story.suite.ts';
import type {TransferProgress} from '../../contracts/transfer/transfer.ts';
import {succeed} from '../helpers/command.ts';
import {digestOf, image, layer} from '../helpers/oci-image.ts';
import {Registry} from '../helpers/registry.ts';
import {tar} from '../helpers/tar-writer.ts';
import {pushTestImages, type TestImages} from '../helpers/test-images.ts';
import {createHouse} from './house.ts';

/** Against programs that we did not write: docker-registry, and skopeo's archives. */
const story = storiesOf(test, {name: 'transfer-local', snapshotter: 'overlayfs', create: createHouse});
let shop: {registry: Registry; images: TestImages; directory: string};

test.before(async () => {
	const registry = await Registry.start();
	shop = {registry, images: await pushTestImages(registry), directory: await mkdtemp(path.join(tmpdir(), 'keelson-transfer-'))};
});

test.after.always(async () => {
	await shop.registry[Symbol.asyncDispose]();
	await rm(shop.directory, {recursive: true, force: true});
});

/** What a registry has under a name. */
async function rawOf(reference: string): Promise<string> {
	return (await succeed('skopeo', ['inspect', '--tls-verify=false', '--raw', `docker://${reference}`])).stdout;
}

/** A file that skopeo makes of an image of the registry. */
async function saved(kind: 'docker-archive' | 'oci-archive', reference: string, name: string): Promise<Buffer> {
	const file = path.join(shop.directory, `${kind}-${name.replaceAll(/\W/gv, '-')}.tar`);
	await rm(file, {force: true});
	await succeed('skopeo', ['copy', '--src-tls-verify=false', `docker://${reference}`, `${kind}:${file}:${name}`]);
	return readFile(file);
}

async function load(corner: Corner, bytes: Uint8Array, store: object = {}, more: object = {}): Promise<readonly string[]> {
	const images = await corner.transfer({
		source: {kind: 'import', mediaType: '', bytes: inPieces(bytes), ...more},
		destination: {kind: 'store', name: '', unpacks: [{snapshotter: corner.snapshotter}], ...store},
	});
	return images.map(({name}) => name);
}

story('an image is pushed to a fresh repository, and again without sending anything', async (t, corner) => {
	const {registry: {host}, images} = shop;
	await corner.pull(images.odd, {unpacks: []});
	const push = async (reference: string): Promise<TransferProgress[]> => {
		const said: TransferProgress[] = [];
		await corner.transfer({source: {kind: 'store', name: 'image'}, destination: {kind: 'registry', reference}, progress: one => said.push(one)});
		return said;
	};
	const first = await push(`${host}/fresh/app:1`);
	t.is(await rawOf(`${host}/fresh/app:1`), await rawOf(images.odd));
	t.is(first[0]?.event, `Pushing to OCI Registry (${host}/fresh/app:1)`);
	t.deepEqual(first.filter(({name}) => name === 'image').map(({event}) => event), ['pushing content', 'pushed content']);
	t.is(first.at(-1)?.event, `Completed push to OCI Registry (${host}/fresh/app:1)`);
	// The registry mounts what `odd` has.
	t.deepEqual(first.filter(({event, name}) => event === 'uploading' && name.startsWith('layer')), []);
	const again = await push(`${host}/fresh/app:1`);
	t.deepEqual(again.filter(({event}) => event === 'uploading' || event === 'complete'), []);
	const back = corner.other;
	await back.pull(`${host}/fresh/app:1`);
	t.is((await back.holds()).snapshots.length, 5);
});

story('an image that came from no registry is sent, layer by layer', async (t, corner) => {
	const {registry: {host}} = shop;
	const made = image([layer(tar([{name: 'big', body: Buffer.alloc(3_000_000, String(Math.random()))}]), 'none')], {Cmd: ['/big']});
	const archive = tar([
		...[made.manifest, made.config, ...made.layers].map(({digest, bytes}) => ({name: `blobs/${digest.replace(':', '/')}`, body: bytes})),
		{name: 'index.json', body: JSON.stringify({schemaVersion: 2, manifests: [{mediaType: made.manifest.mediaType, digest: made.manifest.digest, size: made.manifest.bytes.length}]})},
	]);
	t.deepEqual(await load(corner, archive, {name: 'sent'}), ['sent']);
	const said: TransferProgress[] = [];
	await corner.transfer({source: {kind: 'store', name: 'sent'}, destination: {kind: 'registry', reference: `${host}/sent:1`}, progress: one => said.push(one)});
	const events = said.filter(({name}) => name.endsWith(made.layers[0]?.digest ?? '-')).map(({event}) => event);
	t.deepEqual([...new Set(events)], ['waiting', 'uploading', 'complete']);
	t.is(await rawOf(`${host}/sent:1`), made.manifest.bytes.toString());
	const [part] = made.layers;
	const bytes = Buffer.from(await (await fetch(`http://${host}/v2/sent/blobs/${part?.digest}`)).arrayBuffer());
	t.is(digestOf(bytes), part?.digest ?? '');
	await t.throwsAsync(corner.transfer({source: {kind: 'store', name: 'nobody'}, destination: {kind: 'registry', reference: `${host}/sent:2`}}), {code: 'NOT_FOUND'});
	await t.throwsAsync(corner.transfer({source: {kind: 'store', name: 'sent'}, destination: {kind: 'registry', reference: '127.0.0.1:1/sent:2'}}), {code: 'UNAVAILABLE'});
});

story('an index is pushed with all that it names', async (t, corner) => {
	const {registry: {host}, images} = shop;
	await corner.pull(images.index, {unpacks: []});
	await corner.transfer({source: {kind: 'store', name: 'image'}, destination: {kind: 'registry', reference: `${host}/whole:index`}});
	t.is(await rawOf(`${host}/whole:index`), await rawOf(images.index));
	const back = corner.other;
	await back.pull(`${host}/whole:index`);
	t.is((await back.holds()).content.length, 7);
});

story('a blob remembers each repository that it came from', async (t, corner) => {
	const {registry: {host}, images} = shop;
	await corner.pull(images.busybox, {unpacks: []});
	await corner.pull(images.configured, {unpacks: [], name: 'configured'});
	const sources = (await Array.fromAsync(corner.scope.content.list())).map(({labels}) => labels[`containerd.io/distribution.source.${host.split(':')[0]}`]);
	t.deepEqual([...new Set(sources.map(String))].toSorted(), ['busybox', 'busybox,configured', 'configured']);
});

for (const kind of ['docker-archive', 'oci-archive'] as const) {
	story(`skopeo's ${kind} is imported and unpacked, plain and gzip`, async (t, corner) => {
		const archive = await saved(kind, shop.images.configured, 'local/configured:7');
		const prefix = kind === 'docker-archive' ? 'docker.io/local/configured:7' : 'local/configured:7';
		for (const bytes of [archive, gzipSync(archive, {level: 1})]) {
			const other = corner.other;
			const names = await load(other, bytes, kind === 'docker-archive' ? {} : {extraReferences: [{name: '', isPrefix: true, allowOverwrite: true, addDigest: false, skipNamedDigest: false}]});
			t.deepEqual(names, [prefix]);
			await other.collect();
			const holds = await other.holds();
			t.is(holds.snapshots.length, 2);
			t.is(holds.content.length, 4);
		}
	});
}

story('a docker-archive of several images and tags gives each its names; its plain layers become gzip when asked', async (t, corner) => {
	const file = path.join(shop.directory, 'several.tar');
	await writeFile(file, await saved('docker-archive', shop.images.busybox, 'local/busybox:1'));
	// Skopeo writes one image; a second tag and a link in place of a layer are ours.
	const names = (await succeed('tar', ['tf', file])).stdout.split('\n');
	const config = names.find(name => /^[0-9a-f]{64}\.json$/v.test(name)) ?? '';
	const body = async (name: string): Promise<Buffer> => (await succeed('tar', ['xOf', file, name])).bytes;
	const layerName = names.find(name => /^[0-9a-f]{64}\.tar$/v.test(name)) ?? '';
	const linked = tar([
		{name: layerName, body: await body(layerName)}, {name: config, body: await body(config)},
		{name: 'abc/layer.tar', type: 'symlink', link: `../${layerName}`},
		{name: 'manifest.json', body: JSON.stringify([
			{Config: config, RepoTags: ['local/busybox:1', 'busybox:2', 'localhost:5000/busybox:3'], Layers: [layerName]},
			{Config: config, RepoTags: null, Layers: ['abc/layer.tar']},
		])},
	]);
	t.deepEqual(await load(corner, linked), ['docker.io/local/busybox:1', 'docker.io/library/busybox:2', 'localhost:5000/busybox:3']);
	await corner.collect();
	t.is((await corner.holds()).snapshots.length, 1);
	const small = corner.other;
	await load(small, linked, {}, {forceCompress: true});
	const {target} = await small.scope.images.get('docker.io/local/busybox:1');
	await using reader = await small.scope.content.open(target.digest);
	const manifest = JSON.parse(Buffer.concat(await Array.fromAsync(reader.read())).toString()) as {layers: {mediaType: string}[]};
	t.deepEqual(manifest.layers.map(({mediaType}) => mediaType), ['application/vnd.docker.image.rootfs.diff.tar.gzip']);
	await small.collect();
	t.is((await small.holds()).snapshots.length, 1);
});

story('what is exported is read by skopeo, as OCI and as a docker-archive', async (t, corner) => {
	await corner.pull(shop.images.configured, {name: 'local/configured:9'});
	const {end, bytes} = intoMemory({platforms: [hostPlatform()]});
	await corner.transfer({source: {kind: 'store', name: 'local/configured:9'}, destination: end});
	const file = path.join(shop.directory, 'exported.tar');
	await writeFile(file, bytes());
	for (const kind of ['docker-archive', 'oci-archive']) {
		const {stdout} = await succeed('skopeo', ['inspect', '--config', `${kind}:${file}`], {env: {TMPDIR: shop.directory}});
		const {config} = JSON.parse(stdout) as {config: {User: string}};
		t.is(config.User, 'keel');
	}
	const plain = intoMemory({skipCompatibilityManifest: true});
	await corner.transfer({source: {kind: 'store', name: 'local/configured:9'}, destination: plain.end});
	t.false(plain.bytes().includes('manifest.json'));
});
