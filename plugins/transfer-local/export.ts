import {once} from 'node:events';
import {pack, type Pack} from 'tar-stream';
import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {digestAlgorithm, digestHex, type Digest} from '../../contracts/oci/digest.ts';
import {isForeignLayer, isIndex, isManifest, mediaTypes} from '../../contracts/oci/media-type.ts';
import {hostPlatform} from '../../contracts/oci/platform.ts';
import type {ExportEnd, StoreEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {choosePlatforms} from './choose-platforms.ts';
import {parseChildren} from './manifest.ts';
import {readDocument} from './read-document.ts';
import type {Job} from './transfer.ts';

interface Gathered {
	/** Everything to be written, in the order of digests. */
	readonly blobs: readonly Descriptor[];
	/** For docker-archive's readers: the best image of each name. */
	readonly images: readonly {readonly name: string; readonly config: Digest; readonly layers: readonly Digest[]}[];
}

/**
 *     blobs/ blobs/sha256/ blobs/sha256/<hex>…   index.json   manifest.json   oci-layout
 */
export async function exportImages(job: Job, source: StoreEnd, destination: ExportEnd): Promise<readonly ImageInfo[]> {
	job.report('Exporting');
	const names = [source.name, ...(source.extraReferences ?? []).map(({name}) => name)].filter(name => name !== '');
	if (names.length === 0) {
		throw new KeelsonError('INVALID_ARGUMENT', 'no image to export was named');
	}
	const images = await Promise.all(names.map(async name => job.scope.images.get(name)));
	const gathered = await gather(job, images, destination);
	const archive = pack();
	const sending = send(archive, destination);
	try {
		await write(job, archive, {images, gathered, destination});
		archive.finalize();
	} catch (error) {
		archive.destroy(error instanceof Error ? error : new Error(String(error)));
		await sending.catch(() => undefined);
		throw error;
	}
	await sending;
	job.report('Completed export');
	return [];
}

async function gather(job: Job, images: readonly ImageInfo[], {platforms = [], allPlatforms = false, skipNonDistributable = false}: ExportEnd): Promise<Gathered> {
	const wanted = allPlatforms ? [] : platforms.length === 0 ? [hostPlatform()] : platforms;
	const blobs = new Map<Digest, Descriptor>();
	const found: {name: string; config: Digest; layers: readonly Digest[]}[] = [];
	const visit = async (descriptor: Descriptor, name: string): Promise<void> => {
		blobs.set(descriptor.digest, descriptor);
		if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) {
			return;
		}
		const {config, layers, manifests} = parseChildren(await readDocument(job, descriptor), descriptor);
		if (config !== undefined) {
			found.push({name, config: config.digest, layers: layers.map(({digest}) => digest)});
		}
		for (const child of [...choosePlatforms(manifests, {platforms: wanted, limit: 0}), ...config === undefined ? [] : [config], ...layers]) {
			if (!skipNonDistributable || !isForeignLayer(child.mediaType)) {
				await visit(child, name);
			}
		}
	};
	for (const {name, target} of images) {
		await visit(target, name);
	}
	const isFirst = ({name}: {name: string}, index: number): boolean => found.findIndex(other => other.name === name) === index;
	return {blobs: [...blobs.values()].toSorted((a, b) => a.digest < b.digest ? -1 : 1), images: found.filter(isFirst)};
}

async function write(job: Job, archive: Pack, {images, gathered, destination}: {images: readonly ImageInfo[]; gathered: Gathered; destination: ExportEnd}): Promise<void> {
	for (const directory of ['blobs/', 'blobs/sha256/']) {
		archive.entry({name: directory, type: 'directory', mode: 0o755, mtime: new Date(0)});
	}
	for (const blob of gathered.blobs) {
		await writeBlob(job, archive, blob);
	}
	writeJson(archive, 'index.json', {
		schemaVersion: 2,
		mediaType: mediaTypes.ociIndex,
		manifests: await Promise.all(images.map(async ({name, target}) => ({
			...target,
			annotations: {...target.annotations, ...await sourcesOf(job, target), 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tagOf(name)},
		}))),
	});
	if (destination.skipCompatibilityManifest !== true && gathered.images.length > 0) {
		writeJson(archive, 'manifest.json', gathered.images.map(({name, config, layers}) => ({Config: blobPath(config), RepoTags: [name], Layers: layers.map(blobPath)})));
	}
	writeJson(archive, 'oci-layout', {imageLayoutVersion: '1.0.0'});
}

async function writeBlob(job: Job, archive: Pack, blob: Descriptor): Promise<void> {
	const {signal} = job.request;
	await using reader = await job.scope.content.open(blob.digest);
	const {promise, resolve, reject} = Promise.withResolvers<undefined>();
	const entry = archive.entry({name: blobPath(blob.digest), mode: 0o444, mtime: new Date(0), size: reader.size}, error => {
		if (error === undefined || error === null) {
			resolve(undefined);
		} else {
			reject(error);
		}
	});
	promise.catch(() => undefined);
	for await (const chunk of reader.read({signal})) {
		if (!entry.write(chunk)) {
			await Promise.race([once(entry, 'drain'), promise]);
		}
	}
	entry.end(undefined);
	await promise;
}

/** Where the image came from: an import takes it over, so that a later push can mount its blobs. */
async function sourcesOf(job: Job, {digest}: Descriptor): Promise<Record<string, string>> {
	const {labels} = await job.scope.content.info(digest);
	return Object.fromEntries(Object.entries(labels).filter(([key]) => key.startsWith('containerd.io/distribution.source.')));
}

function writeJson(archive: Pack, name: string, value: unknown): void {
	archive.entry({name, mode: 0o644, mtime: new Date(0)}, JSON.stringify(value));
}

async function send(archive: Pack, destination: ExportEnd): Promise<void> {
	for await (const chunk of archive as AsyncIterable<Uint8Array>) {
		await destination.write(chunk);
	}
}

function blobPath(digest: Digest): string {
	return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

function tagOf(name: string): string {
	const colon = name.lastIndexOf(':');
	return colon > name.lastIndexOf('/') ? name.slice(colon + 1) : 'latest';
}
