import {gzipSync, zstdCompressSync} from 'node:zlib';
import {zstdChunked} from '../diff/lazy-layers.suite.ts';
import {mediaTypes} from '../oci/media-type.ts';
import {chainIds, descriptorOf, imageOf, indexOf, layerOf, tarOf, type MadeImage} from './transfer-images.suite.ts';
import {SmallRegistry} from './transfer-registry.suite.ts';
import {inPieces, intoMemory, type Corner, type Story} from './transfer-story.suite.ts';
import type {ImportEnd, StoreEnd} from './transfer.ts';

const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

/** An OCI layout with these images; `without` names blobs that it lacks. */
function layoutOf(images: readonly MadeImage[], {without = []}: {without?: readonly string[]} = {}): Buffer {
	const parts = images.flatMap(({manifest, config, layers}) => [manifest, config, ...layers]).filter(({digest}) => !without.includes(digest));
	return tarOf({
		...Object.fromEntries(parts.map(({digest, bytes}) => [blobPath(digest), bytes])),
		'index.json': JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: images.map(({manifest}, at) => ({
			...descriptorOf(manifest), annotations: {'io.containerd.image.name': `local/image:${at}`},
		}))}),
		'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
	});
}

async function load(corner: Corner, bytes: Uint8Array | AsyncIterable<Uint8Array>, {signal, forceCompress, ...store}: Partial<StoreEnd> & Pick<ImportEnd, 'forceCompress'> & {signal?: AbortSignal} = {}): Promise<readonly string[]> {
	const images = await corner.transfer({
		source: {kind: 'import', mediaType: '', bytes: bytes instanceof Uint8Array ? inPieces(bytes, 10_007) : bytes, ...forceCompress === undefined ? {} : {forceCompress}},
		destination: {kind: 'store', name: '', unpacks: [{snapshotter: corner.snapshotter}], ...store},
		...signal === undefined ? {} : {signal},
	});
	return images.map(({name}) => name);
}

/** Archives and names. */
export function archiveStories(story: Story): void {
	for (const [how, pack] of [['plain', (bytes: Buffer) => bytes], ['gzip', gzipSync], ['zstd', zstdCompressSync], ['zstd of many frames', zstdChunked]] as const) {
		story(`an OCI layout (${how}) is imported with the names that it gives, and unpacked`, async (t, corner) => {
			const images = [imageOf(), imageOf([layerOf(300_000)])];
			t.deepEqual(await load(corner, pack(layoutOf(images))), ['local/image:0', 'local/image:1']);
			await corner.collect();
			const {content, snapshots, leases, ingests} = await corner.holds();
			t.is(content.length, 7);
			t.deepEqual(snapshots, images.flatMap(({layers}) => chainIds(layers)).map(String).toSorted());
			t.deepEqual([...leases, ...ingests], []);
		});
	}

	story('what is exported is imported elsewhere as the same, and echoed as it is', async (t, corner) => {
		const images = [imageOf(), imageOf()];
		const index = indexOf(images.map(({manifest}) => manifest));
		await using registry = await SmallRegistry.start(index, images);
		await corner.pull(registry.reference, {name: 'local/app:1'});
		const first = intoMemory({allPlatforms: true});
		await corner.transfer({source: {kind: 'store', name: 'local/app:1'}, destination: first.end});
		const {other} = corner;
		t.deepEqual(await load(other, first.bytes()), ['local/app:1']);
		await other.collect();
		const {snapshots, ...rest} = await other.holds();
		const {snapshots: before, ...expected} = await corner.holds();
		t.deepEqual(rest, expected);
		t.deepEqual(snapshots, before);
		// Where the blobs came from is not taken over from an archive: that label is the daemon's own to give.
		const [second, third] = [intoMemory({allPlatforms: true}), intoMemory({allPlatforms: true})];
		await other.transfer({source: {kind: 'store', name: 'local/app:1'}, destination: second.end});
		t.is(second.bytes().includes('distribution.source'), false);
		const another = corner.other;
		await load(another, second.bytes());
		await another.transfer({source: {kind: 'store', name: 'local/app:1'}, destination: third.end});
		t.true(third.bytes().equals(second.bytes()));
		const echo = intoMemory();
		await corner.transfer({source: {kind: 'import', mediaType: '', bytes: inPieces(first.bytes())}, destination: echo.end});
		t.true(echo.bytes().equals(first.bytes()));
	});

	story('an import takes no label from what was there before, also where it has none to give', async (t, corner) => {
		const index = indexOf([imageOf().manifest]);
		// Its one manifest, of another platform, is not in the archive: there is no child to tell of.
		const bytes = tarOf({
			[blobPath(index.digest)]: index.bytes,
			'index.json': JSON.stringify({schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{...descriptorOf(index), annotations: {'io.containerd.image.name': 'local/index:1'}}]}),
			'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
		});
		const labels = {mine: 'kept', 'containerd.io/gc.ref.content.by-hand': index.digest};
		await load(corner, bytes, {unpacks: []});
		await corner.scope.content.update(index.digest, labels, Object.keys(labels).map(key => `labels.${key}`));
		const {labels: before} = await corner.scope.content.info(index.digest);
		t.like(before, labels);
		await load(corner, bytes, {unpacks: []});
		t.deepEqual((await corner.scope.content.info(index.digest)).labels, before);
	});

	story('an archive that lacks a part, is none, or has wrong bytes is refused, and leaves nothing', async (t, corner) => {
		const image = imageOf();
		const [layer] = image.layers;
		for (const [bytes, code, what] of [
			[layoutOf([image], {without: [layer?.digest ?? '']}), 'NOT_FOUND', 'without a layer'],
			[layoutOf([imageOf(), image], {without: [image.config.digest]}), 'NOT_FOUND', 'without a config'],
			[layoutOf([imageOf(), image], {without: [image.manifest.digest]}), 'NOT_FOUND', 'without a manifest'],
			[Buffer.from('this is no archive '.repeat(200)), 'INVALID_ARGUMENT', 'garbage'],
			[gzipSync(Buffer.from('this is no archive '.repeat(200))), 'INVALID_ARGUMENT', 'compressed garbage'],
			[Buffer.alloc(0), 'INVALID_ARGUMENT', 'nothing'],
			[layoutOf([image]).subarray(0, 3000), 'DATA_LOSS', 'cut short'],
			[gzipSync(layoutOf([image])).subarray(0, 1500), 'DATA_LOSS', 'compressed and cut short'],
			[tarOf({[blobPath(layer?.digest ?? '')]: 'other'}), 'FAILED_PRECONDITION', 'wrong bytes'],
			[tarOf({'index.json': '{'}), 'INVALID_ARGUMENT', 'a broken index'],
			[tarOf({'index.json': '{"manifests":[]}'}), 'INVALID_ARGUMENT', 'an empty index'],
			[tarOf({'oci-layout': '{"imageLayoutVersion":"9"}'}), 'INVALID_ARGUMENT', 'another layout'],
			[tarOf({'manifest.json': JSON.stringify([{Config: 'a.json', RepoTags: ['a:1'], Layers: ['a/layer.tar']}])}), 'NOT_FOUND', 'a docker-archive without its files'],
			[tarOf({'manifest.json': '{}'}), 'INVALID_ARGUMENT', 'a docker-archive with another manifest'],
		] as const) {
			await t.throwsAsync(load(corner, bytes), {code}, what);
			await corner.holdsNothing(what);
		}
	});

	story('an import that stalls ends with its signal, and one that is wrong does not wait for the rest', async (t, corner) => {
		const stalling = (head: Uint8Array): AsyncIterable<Uint8Array> => (async function* () {
			yield head;
			await new Promise(() => undefined);
		})();
		const bytes = layoutOf([imageOf()]);
		await t.throwsAsync(load(corner, stalling(bytes.subarray(0, 2000)), {signal: AbortSignal.timeout(200)}), {code: 'DEADLINE_EXCEEDED'});
		await t.throwsAsync(load(corner, stalling(gzipSync(bytes).subarray(0, 1000)), {signal: AbortSignal.timeout(200)}), {code: 'DEADLINE_EXCEEDED'});
		await t.throwsAsync(load(corner, stalling(Buffer.alloc(4096, 'x'))), {code: 'INVALID_ARGUMENT'});
		await corner.holdsNothing();
	});

	story('an export that nobody takes, or is cut off, ends', async (t, corner) => {
		await load(corner, layoutOf([imageOf([layerOf(3_000_000)])]), {unpacks: []});
		const source = {kind: 'store', name: 'local/image:0'} as const;
		const never = intoMemory({write: async () => new Promise(() => undefined)});
		await t.throwsAsync(corner.transfer({source, destination: never.end, signal: AbortSignal.timeout(200)}), {code: 'DEADLINE_EXCEEDED'});
		let count = 0;
		const broken = intoMemory({async write() {
			if (++count > 5) {
				throw new Error('the other side is gone');
			}
		}});
		await t.throwsAsync(corner.transfer({source, destination: broken.end}), {message: /the other side is gone/});
		await t.throwsAsync(corner.transfer({source: {kind: 'store', name: 'nobody'}, destination: intoMemory().end}), {code: 'NOT_FOUND'});
		t.deepEqual((await corner.holds()).leases, []);
	});

	story('an image gets another name, also one that stood for something else', async (t, corner) => {
		await load(corner, layoutOf([imageOf(), imageOf()]), {unpacks: []});
		const tag = async (from: string, to: string): Promise<unknown> => corner.transfer({source: {kind: 'store', name: from}, destination: {kind: 'store', name: to}});
		const target = async (name: string): Promise<string> => (await corner.scope.images.get(name)).target.digest;
		await tag('local/image:0', 'mine');
		t.is(await target('mine'), await target('local/image:0'));
		await tag('local/image:1', 'mine');
		t.is(await target('mine'), await target('local/image:1'));
		await t.throwsAsync(tag('nobody', 'mine'), {code: 'NOT_FOUND'});
		await t.throwsAsync(tag('local/image:1', ''), {code: 'INVALID_ARGUMENT'});
		t.is(await target('mine'), await target('local/image:1'));
	});

	story('a transfer that makes no sense is unimplemented', async (t, corner) => {
		const registry = {kind: 'registry', reference: '127.0.0.1:1/a:1'} as const;
		await t.throwsAsync(corner.transfer({source: registry, destination: registry}), {code: 'UNIMPLEMENTED'});
		await t.throwsAsync(corner.transfer({source: registry, destination: intoMemory().end}), {code: 'UNIMPLEMENTED'});
		await corner.holdsNothing();
	});
}
