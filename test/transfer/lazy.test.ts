import {randomBytes} from 'node:crypto';
import {zstdCompressSync} from 'node:zlib';
import test from 'ava';
import {eStargz, skippableFrame, zstdChunked, zstdFrames} from '../../contracts/diff/lazy-layers.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {chainIds, descriptorOf, digestOf, imageOf, imageWith, partOf, tarOf, type MadeImage, type MadeLayer} from '../../contracts/transfer/transfer-images.suite.ts';
import {SmallRegistry} from '../../contracts/transfer/transfer-registry.suite.ts';
import {inPieces, intoMemory, storiesOf, type Corner} from '../../contracts/transfer/transfer-story.suite.ts';
import {succeed} from '../helpers/command.ts';
import {Registry} from '../helpers/registry.ts';
import {createHouse} from './house.ts';

/** Layers that are written for who pulls them lazily, pulled whole; with nothing but Node.js to inflate them, and with the programs of the machine. */
const stories = (['builtin', 'auto'] as const).map(decompressor => storiesOf(test, {
	name: `lazy layers, inflated by ${decompressor}`, snapshotter: 'overlayfs', create: async () => createHouse({plugins: {'io.containerd.differ.v1.walking': {decompressor}}}),
}));

function layerAs(mediaType: string, compress: (tar: Buffer) => Buffer): MadeLayer {
	const tar = tarOf({[`first-${randomBytes(6).toString('hex')}`]: randomBytes(300_000), last: Buffer.alloc(1_000_000, 'last ')});
	return {...partOf(mediaType, compress(tar)), diffId: digestOf(tar)};
}

const zstd = (compress: (tar: Buffer) => Buffer): MadeLayer => layerAs(mediaTypes.ociLayerZstd, compress);
const twice = (): MadeLayer => zstd(tar => zstdFrames(tar, tar.length / 2));
const skipped = (): MadeLayer => zstd(tar => Buffer.concat([skippableFrame(Buffer.from('first')), zstdCompressSync(tar)]));
const chunked = (): MadeLayer => zstd(tar => zstdChunked(tar, 64 * 1024));
const stargz = (): MadeLayer => layerAs(mediaTypes.ociLayerGzip, eStargz);

const annotations = [
	{'io.github.containers.zstd-chunked.manifest-checksum': digestOf(Buffer.from('contents')), 'io.github.containers.zstd-chunked.manifest-position': '1000:100:200:1', 'org.example.foreign': 'ä "quoted"'},
	{'containerd.io/snapshot/stargz/toc.digest': digestOf(Buffer.from('toc')), 'io.containers.estargz.uncompressed-size': '1302528', 'org.example.foreign': ''},
] as const;

/** A layer of each kind with what its tool writes beside it. */
function annotated(): MadeImage {
	const layers = [chunked(), stargz()];
	const {config} = imageOf(layers);
	return imageWith(config, layers, {layers: layers.map((layer, at) => ({...descriptorOf(layer), annotations: annotations[at]})), annotations: {'org.example.of-the-image': 'kept'}});
}

async function document(corner: Corner, {digest}: MadeImage['manifest']): Promise<Buffer> {
	await using reader = await corner.scope.content.open(digest);
	return Buffer.concat(await Array.fromAsync(reader.read(), chunk => Buffer.from(chunk)));
}

for (const story of stories) {
	story('layers of many zstd frames, of skippable ones and of many gzip members are pulled and unpacked, alone and on one another', async (t, corner) => {
		for (const layers of [[twice()], [skipped()], [chunked()], [stargz()], [chunked(), twice(), stargz(), skipped(), chunked()]]) {
			const made = imageOf(layers);
			await using registry = await SmallRegistry.start(made.manifest, [made]);
			await corner.pull(registry.reference);
			const {snapshots} = await corner.holds();
			t.true(chainIds(layers).every(id => snapshots.includes(id)));
		}
	});

	story('what their descriptors are annotated with is kept, exported, imported and pushed', async (t, corner) => {
		const made = annotated();
		await using registry = await SmallRegistry.start(made.manifest, [made]);
		await corner.pull(registry.reference);
		await corner.collect();
		const kept = await document(corner, made.manifest);
		t.true(kept.equals(made.manifest.bytes));
		t.deepEqual((JSON.parse(kept.toString()) as {layers: readonly {annotations: object}[]}).layers.map(layer => layer.annotations), [...annotations]);
		t.deepEqual((await corner.holds()).snapshots, chainIds(made.layers).map(String).toSorted());
		const archive = intoMemory();
		await corner.transfer({source: {kind: 'store', name: 'image'}, destination: archive.end});
		const {other} = corner;
		await other.transfer({source: {kind: 'import', mediaType: '', bytes: inPieces(zstdFrames(archive.bytes()))}, destination: {kind: 'store', name: 'back', unpacks: [{snapshotter: other.snapshotter}]}});
		t.true((await document(other, made.manifest)).equals(made.manifest.bytes));
		t.deepEqual((await other.holds()).snapshots, chainIds(made.layers).map(String).toSorted());
		await using real = await Registry.start();
		await corner.transfer({source: {kind: 'store', name: 'image'}, destination: {kind: 'registry', reference: `${real.host}/lazy:1`}});
		const {stdout} = await succeed('skopeo', ['inspect', '--tls-verify=false', '--raw', `docker://${real.host}/lazy:1`]);
		t.is(stdout, made.manifest.bytes.toString());
		await other.pull(`${real.host}/lazy:1`, {name: 'again'});
		t.is((await other.scope.images.get('again')).target.digest, made.manifest.digest);
	});

	story('a docker-archive may have a layer that begins with a skippable frame', async (t, corner) => {
		const {config, layers: [layer]} = imageOf([skipped()]);
		const archive = tarOf({'layer.tar': layer?.bytes ?? '', 'config.json': config.bytes, 'manifest.json': JSON.stringify([{Config: 'config.json', RepoTags: ['local/skipped:1'], Layers: ['layer.tar']}])});
		await corner.transfer({source: {kind: 'import', mediaType: '', bytes: inPieces(archive)}, destination: {kind: 'store', name: '', unpacks: [{snapshotter: corner.snapshotter}]}});
		t.deepEqual((await corner.holds()).snapshots, [String(layer?.diffId)]);
	});
}
