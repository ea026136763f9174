import {randomBytes} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {digestOf, imageOf, indexOf, layerOf, partOf, tarOf, type MadeLayer} from '../../contracts/transfer/transfer-images.suite.ts';
import {SmallRegistry} from '../../contracts/transfer/transfer-registry.suite.ts';
import {inPieces, intoMemory, storiesOf} from '../../contracts/transfer/transfer-story.suite.ts';
import {createHouse} from './house.ts';

const coded = `${mediaTypes.ociLayerGzip}+base64`;
const locked = `${mediaTypes.ociLayer}+locked`;

/** Images of which programs make layers readable. */
const story = storiesOf(test, {name: 'processed', snapshotter: 'overlayfs', create: async () => createHouse({stream_processors: {
	decode: {accepts: [coded], returns: mediaTypes.ociLayerGzip, path: 'base64', args: ['-d']},
	unlock: {accepts: [locked], returns: mediaTypes.ociLayer, path: '/bin/sh', args: ['-c', 'head -c 100000; echo "no key" >&2; exit 3']},
}})});

function codedLayer(): MadeLayer {
	const tar = tarOf({[`file-${randomBytes(6).toString('hex')}`]: randomBytes(1_000_000)});
	return {...partOf(coded, Buffer.from(gzipSync(tar).toString('base64'))), diffId: digestOf(tar)};
}

story('layers that a program decodes are pulled and unpacked, the lowest and those above it; exported and imported they are the same', async (t, corner) => {
	const made = imageOf([codedLayer(), layerOf(), codedLayer(), codedLayer()]);
	await using registry = await SmallRegistry.start(made.manifest, [made]);
	await corner.pull(registry.reference);
	await corner.collect();
	const {snapshots, content} = await corner.holds();
	t.is(snapshots.length, 4);
	t.true(snapshots.includes(made.layers[0]?.diffId ?? ''));
	t.is(content.length, 6);
	const archive = intoMemory();
	await corner.transfer({source: {kind: 'store', name: 'image'}, destination: archive.end});
	const back = corner.other;
	await back.transfer({source: {kind: 'import', mediaType: '', bytes: inPieces(archive.bytes())}, destination: {kind: 'store', name: 'back', unpacks: [{snapshotter: back.snapshotter}]}});
	t.deepEqual((await back.holds()).snapshots, snapshots);
});

story('a program that fails fails the pull in its own words, and nothing is left', async (t, corner) => {
	const tar = tarOf({file: randomBytes(1_000_000)});
	const made = imageOf([layerOf(), {...partOf(locked, tar), diffId: digestOf(tar)}, codedLayer()]);
	await using registry = await SmallRegistry.start(indexOf([made.manifest]), [made]);
	await t.throwsAsync(corner.pull(registry.reference), {code: 'UNKNOWN', message: /stream processor unlock ended with 3: no key/});
	await corner.holdsNothing();
});

story('a type that no program accepts is named', async (t, corner) => {
	const made = imageOf([{...codedLayer(), mediaType: `${mediaTypes.ociLayerGzip}+encrypted`}]);
	await using registry = await SmallRegistry.start(made.manifest, [made]);
	await t.throwsAsync(corner.pull(registry.reference), {code: 'UNIMPLEMENTED', message: /layer\.v1\.tar\+gzip\+encrypted/});
	await corner.holdsNothing();
});
