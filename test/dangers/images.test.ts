import {gzipSync} from 'node:zlib';
import test from 'ava';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {descriptorOf, imageOf, imageWith, indexOf, layerOf, partOf, tarOf, type MadeImage, type Part} from '../../contracts/transfer/transfer-images.suite.ts';
import {SmallRegistry} from '../../contracts/transfer/transfer-registry.suite.ts';
import {inPieces, storiesOf, type Corner} from '../../contracts/transfer/transfer-story.suite.ts';
import type {StoreEnd} from '../../contracts/transfer/transfer.ts';
import {parseChildren} from '../../plugins/transfer-local/manifest.ts';
import {tar} from '../helpers/tar-writer.ts';
import {createHouse} from '../transfer/house.ts';

/** What went wrong elsewhere with manifests, digests, labels and archives: docs/dangers.md names these tests. */
const story = storiesOf(test, {name: 'dangers', snapshotter: 'overlayfs', create: createHouse});

const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

function layoutOf({manifest, config, layers}: MadeImage, index: object = {}): Record<string, string | Uint8Array> {
	return {
		...Object.fromEntries([manifest, config, ...layers].map(({digest, bytes}) => [blobPath(digest), bytes])),
		'index.json': JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{...descriptorOf(manifest), annotations: {'io.containerd.image.name': 'local/app:1'}}], ...index}),
		'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
	};
}

async function load(corner: Corner, files: Readonly<Record<string, string | Uint8Array>>, store: Partial<StoreEnd> = {}): Promise<readonly string[]> {
	const images = await corner.transfer({
		source: {kind: 'import', mediaType: '', bytes: inPieces(tarOf(files))},
		destination: {kind: 'store', name: '', unpacks: [{snapshotter: corner.snapshotter}], ...store},
	});
	return images.map(({name}) => name);
}

/** An image whose config says more. */
function saying(config: object, manifest: object = {}): MadeImage {
	const {layers, config: plain} = imageOf([layerOf()]);
	return imageWith(partOf(mediaTypes.ociConfig, {...JSON.parse(plain.bytes.toString()) as object, ...config}), layers, manifest);
}

test('CVE-2021-41190: a document with the shape of both kinds, or of the other kind, is refused by either type', t => {
	const digest = `sha256:${'0'.repeat(64)}` as const;
	const child = descriptorOf(imageOf().config);
	const parse = (mediaType: string, document: object): unknown => parseChildren(Buffer.from(JSON.stringify(document)), {mediaType, digest, size: 1});
	const refused = {code: 'INVALID_ARGUMENT'};
	for (const index of [mediaTypes.ociIndex, mediaTypes.dockerIndex]) {
		for (const extra of [{layers: []}, {config: child}, {fsLayers: []}, {layers: null}]) {
			t.throws(() => parse(index, {manifests: [child], ...extra}), refused);
			t.throws(() => parse(index, extra), refused);
		}
		t.throws(() => parse(index, {manifests: [], mediaType: mediaTypes.ociManifest}), refused);
		t.notThrows(() => parse(index, {manifests: [child]}));
	}
	for (const manifest of [mediaTypes.ociManifest, mediaTypes.dockerManifest]) {
		t.throws(() => parse(manifest, {config: child, layers: [], manifests: []}), refused);
		t.throws(() => parse(manifest, {manifests: [child]}), refused);
		t.throws(() => parse(manifest, {config: child, layers: [], mediaType: mediaTypes.ociIndex}), refused);
		t.throws(() => parse(manifest, {}), refused);
		t.notThrows(() => parse(manifest, {config: child, layers: []}));
	}
});

story('CVE-2023-25153: a document of an archive that is too large is refused before it is read', async (t, corner) => {
	const big = Buffer.alloc(9 * 1024 * 1024, ' ');
	for (const name of ['index.json', 'manifest.json', 'oci-layout']) {
		await t.throwsAsync(load(corner, {[name]: big}), {code: 'RESOURCE_EXHAUSTED', message: new RegExp(`${name.replace('.', '\\.')} .*has ${big.length} bytes`)});
		await corner.holdsNothing(name);
	}
	// Documents that the index names are blobs, and read with the same bound.
	const {manifest, ...image} = imageOf();
	const large: Part = partOf(mediaTypes.ociManifest, Buffer.concat([manifest.bytes, big]));
	await t.throwsAsync(load(corner, layoutOf({...image, manifest: large})), {code: 'RESOURCE_EXHAUSTED'});
	await corner.holdsNothing();
});

story('CVE-2026-53488: labels and annotations of an image become labels of nothing', async (t, corner) => {
	const evil = {
		'containerd.io/restart.status': 'running', 'containerd.io/restart.loguri': 'binary:///bin/sh?-c=id', 'containerd.io/gc.root': 'yes', 'containerd.io/gc.ref.content.x': 'sha256:0',
		'io.cri-containerd.kind': 'sandbox', 'containerd.io/uncompressed': 'nonsense', 'containerd.io/distribution.source.evil': 'evil',
	};
	const image = saying({config: {Labels: evil}}, {annotations: evil});
	const root = partOf(mediaTypes.ociIndex, {schemaVersion: 2, mediaType: mediaTypes.ociIndex, annotations: evil, manifests: [{...descriptorOf(image.manifest), annotations: evil}]});
	const look = async (from: Corner): Promise<void> => {
		const labels = [
			...(await from.scope.images.list()).map(one => one.labels),
			...(await Array.fromAsync(from.scope.content.list())).map(one => one.labels),
			...(await Array.fromAsync(from.scope.snapshotter(from.snapshotter).list())).map(one => one.labels),
		];
		t.true(labels.length >= 5);
		for (const [name, value] of labels.flatMap(one => Object.entries(one ?? {}))) {
			t.false(Object.entries(evil).some(([key, bad]) => key === name && bad === value), `${name}=${value}`);
			t.regex(name, /^containerd\.io\/(?:gc\.ref\.|uncompressed$|distribution\.source\.127\.0\.0\.1|snapshot\.ref$)/);
		}
	};
	await using registry = await SmallRegistry.start(root, [image]);
	await corner.pull(registry.reference);
	await look(corner);
	const other = corner.other;
	const layout = layoutOf(image);
	const index = JSON.parse(String(layout['index.json'])) as {manifests: {annotations: object}[]};
	Object.assign(index.manifests[0]?.annotations ?? {}, evil);
	t.deepEqual(await load(other, {...layout, 'index.json': JSON.stringify({...index, annotations: evil})}), ['local/app:1']);
	await look(other);
});

story('CVE-2026-50195: an archive names no image beyond the prefix that was asked for', async (t, corner) => {
	const {manifest, ...parts} = imageOf();
	const named = (name: string): Record<string, string | Uint8Array> => layoutOf({manifest, ...parts}, {manifests: [{...descriptorOf(manifest), annotations: {'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name}}]});
	const prefix = {name: 'registry.example.com/mine', isPrefix: true, allowOverwrite: false, addDigest: false, skipNamedDigest: false};
	for (const name of ['docker.io/library/busybox:latest', 'registry.example.com/mineral:1', 'registry.example.com/mine/../busybox:1x', 'other']) {
		const names = await load(corner, named(name), {extraReferences: [prefix], unpacks: []});
		t.true(names.every(one => one.startsWith('registry.example.com/mine/')), `${name} became ${names.join(' ')}`);
	}
	t.deepEqual(await load(corner, named('registry.example.com/mine/app:1'), {extraReferences: [prefix], unpacks: []}), ['registry.example.com/mine/app:1']);
});

for (const [what, digest] of [
	['no digest', ''], ['a path', 'sha256:../../../../etc/passwd'], ['too short', 'sha256:0123'], ['upper case', `sha256:${'A'.repeat(64)}`], ['another algorithm', `md5:${'0'.repeat(32)}`],
	['a line break', `sha256:${'0'.repeat(63)}\n`], ['more after it', `sha256:${'0'.repeat(64)}/x`], ['a number', 5], ['null', null], ['prototype', 'constructor:00'], ['1 MB', `sha256:${'0'.repeat(1_000_000)}`],
] as const) {
	story(`CVE-2026-95839: a digest that is malformed (${what}) is refused wherever an image has it, and harms nobody`, async (t, corner) => {
		const bad = {mediaType: mediaTypes.ociManifest, size: 5, digest};
		for (const more of [{subject: bad}, {layers: [{...bad, mediaType: mediaTypes.ociLayerGzip}]}, {config: {...bad, mediaType: mediaTypes.ociConfig}}]) {
			const image = saying({}, more);
			await using registry = await SmallRegistry.start(image.manifest, [image]);
			await t.throwsAsync(corner.pull(registry.reference), {code: 'INVALID_ARGUMENT'});
		}
		const ids = saying({rootfs: {type: 'layers', diff_ids: [digest]}});
		await using registry = await SmallRegistry.start(ids.manifest, [ids]);
		await t.throwsAsync(corner.pull(registry.reference), {code: 'INVALID_ARGUMENT'});
		const index = partOf(mediaTypes.ociIndex, {schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [bad]});
		await using second = await SmallRegistry.start(index, []);
		await t.throwsAsync(corner.pull(second.reference), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(load(corner, {'index.json': JSON.stringify({schemaVersion: 2, manifests: [bad]})}), {code: 'INVALID_ARGUMENT'});
		await corner.holdsNothing();
	});
}

story('CVE-2026-95839: labels that name what is no digest are no reference, and collections go on', async (t, corner) => {
	const image = imageOf();
	await using registry = await SmallRegistry.start(image.manifest, [image]);
	await corner.pull(registry.reference);
	const {content} = corner.scope;
	const before = await corner.holds();
	for (const value of ['sha256:../../../etc/passwd', 'nonsense', `sha256:${'0'.repeat(63)}\u0000`, 'x'.repeat(3000)]) {
		for (const name of ['containerd.io/gc.ref.content.x', 'containerd.io/gc.ref.snapshot.overlayfs', 'containerd.io/gc.bref.content.x', 'io.containerd.manifest.subject', 'containerd.io/uncompressed', 'containerd.io/gc.expire']) {
			await content.update(image.config.digest, {[name]: value}, [`labels.${name}`]);
			await corner.collect();
			await content.update(image.config.digest, {[name]: ''}, [`labels.${name}`]);
		}
	}
	t.deepEqual((await corner.holds()).content, before.content);
});

story('apple/container: links of an archive lead to what it has itself, and to no file of this machine', async (t, corner) => {
	const {manifest, config, layers} = imageOf([layerOf()]);
	const [layer] = layers;
	for (const target of ['/etc/passwd', '../../../../../../etc/passwd', '/proc/self/environ', `../../blobs/sha256/${'0'.repeat(64)}`]) {
		const bytes = tar([
			{name: 'manifest.json', body: JSON.stringify([{Config: 'config.json', RepoTags: ['evil:1'], Layers: ['layer.tar']}])},
			{name: 'config.json', body: config.bytes}, {name: 'layer.tar', type: 'symlink', link: target},
		]);
		await t.throwsAsync(corner.transfer({source: {kind: 'import', mediaType: '', bytes: inPieces(bytes)}, destination: {kind: 'store', name: '', unpacks: []}}), {code: 'NOT_FOUND'});
		await corner.holdsNothing(target);
	}
	const around = tar([
		{name: 'index.json', body: JSON.stringify({schemaVersion: 2, manifests: [descriptorOf(manifest)]})},
		...[manifest, config].map(({digest, bytes}) => ({name: blobPath(digest), body: bytes})),
		{name: 'a', type: 'symlink', link: 'b'}, {name: 'b', type: 'symlink', link: 'a'}, {name: blobPath(layer?.digest ?? ''), type: 'symlink', link: '/dev/zero'},
	]);
	await t.throwsAsync(corner.transfer({source: {kind: 'import', mediaType: '', bytes: inPieces(around)}, destination: {kind: 'store', name: 'x', unpacks: []}}), {code: 'NOT_FOUND'});
	await corner.holdsNothing();
});

story('an index whose children are a million in a few kilobytes is refused in time', async (t, corner) => {
	const leaf = imageOf();
	let level = [leaf.manifest];
	const all: Part[] = [];
	for (let depth = 0; depth < 6; depth++) {
		level = Array.from({length: 20}, (_, at) => partOf(mediaTypes.ociIndex, {schemaVersion: 2, mediaType: mediaTypes.ociIndex, made: `${depth} ${at}`, manifests: level.map(one => descriptorOf(one))}));
		all.push(...level);
	}
	await using registry = await SmallRegistry.start(indexOf(level), [{...leaf, layers: [...leaf.layers, ...all.map(part => ({...part, diffId: part.digest}))]}]);
	const before = Date.now();
	await corner.pull(registry.reference, {unpacks: []}).catch((error: unknown) => t.is((error as {name?: string}).name, 'KeelsonError'));
	t.true(Date.now() - before < 20_000);
	t.true(registry.asked.length < 1000, `${registry.asked.length} requests`);
	await corner.scope.images.delete('image').catch(() => undefined);
	await corner.holdsNothing();
});

story('an archive that unpacks to a thousand times its size is kept no larger than what it says it has', async (t, corner) => {
	const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024), {level: 9});
	await t.throwsAsync(corner.transfer({source: {kind: 'import', mediaType: '', bytes: inPieces(bomb)}, destination: {kind: 'store', name: 'x', unpacks: []}}), {code: 'INVALID_ARGUMENT'});
	await corner.holdsNothing();
	const image = imageOf([layerOf(1000)]);
	const lying = imageWith(image.config, image.layers.map(layer => ({...layer, size: 10})));
	await using registry = await SmallRegistry.start(lying.manifest, [lying], ({path}, response, self) => {
		const [layer] = image.layers;
		if (layer === undefined || !path.endsWith(layer.digest)) {
			return false;
		}
		self.serve({...layer, size: layer.bytes.length}, response);
		return true;
	});
	await t.throwsAsync(corner.pull(registry.reference), {code: 'FAILED_PRECONDITION', message: /more than the 10 bytes/});
	await corner.holdsNothing();
});
