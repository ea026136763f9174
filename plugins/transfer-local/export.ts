import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {digestAlgorithm, digestHex, type Digest} from '../../contracts/oci/digest.ts';
import {isForeignLayer, isIndex, isManifest, mediaTypes} from '../../contracts/oci/media-type.ts';
import {hostPlatform} from '../../contracts/oci/platform.ts';
import type {ExportEnd, StoreEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {ArchiveWriter} from './archive-writer.ts';
import {choosePlatforms} from './choose-platforms.ts';
import type {Job} from './job.ts';
import {parseChildren} from './manifest.ts';
import {readDocument} from './read-document.ts';
import {TreeWalk} from './tree-walk.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

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
	if (source.extraReferences?.some(({isPrefix}) => isPrefix) === true) {
		throw new KeelsonError('UNIMPLEMENTED', 'images to export cannot be named by a prefix');
	}
	const names = [source.name, ...(source.extraReferences ?? []).map(({name}) => name)].filter(name => name !== '');
	if (names.length === 0) {
		throw new KeelsonError('INVALID_ARGUMENT', 'no image to export was named');
	}
	const images = await Promise.all(names.map(async name => job.scope.images.get(name)));
	const gathered = await gather(job, images, destination);
	await writeArchive(job, {images, gathered, destination});
	job.report('Completed export');
	return [];
}

async function gather(job: Job, images: readonly ImageInfo[], {platforms = [], allPlatforms = false, skipNonDistributable = false}: ExportEnd): Promise<Gathered> {
	const wanted = allPlatforms ? [] : platforms.length === 0 ? [hostPlatform()] : platforms;
	const blobs = new Map<Digest, Descriptor>();
	const found: {name: string; config: Digest; layers: readonly Digest[]}[] = [];
	const visit = async (descriptor: Descriptor, {name, depth, walk}: {name: string; depth: number; walk: TreeWalk}): Promise<void> => {
		blobs.set(descriptor.digest, descriptor);
		if ((!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) || !walk.enter(descriptor, depth)) {
			return;
		}
		const {config, layers, manifests} = parseChildren(await readDocument(job, descriptor), descriptor);
		if (config !== undefined) {
			found.push({name, config: config.digest, layers: layers.map(({digest}) => digest)});
		}
		for (const child of [...choosePlatforms(manifests, {platforms: wanted, limit: 0}), ...config === undefined ? [] : [config], ...layers]) {
			if (!skipNonDistributable || !isForeignLayer(child.mediaType)) {
				await visit(child, {name, walk, depth: depth + 1});
			}
		}
	};
	for (const {name, target} of images) {
		await visit(target, {name, walk: new TreeWalk(), depth: 0});
	}
	const isFirst = ({name}: {name: string}, index: number): boolean => found.findIndex(other => other.name === name) === index;
	return {blobs: [...blobs.values()].toSorted((a, b) => a.digest < b.digest ? -1 : 1), images: found.filter(isFirst)};
}

async function writeArchive(job: Job, {images, gathered, destination}: {images: readonly ImageInfo[]; gathered: Gathered; destination: ExportEnd}): Promise<void> {
	const archive = new ArchiveWriter(async chunk => untilAborted(destination.write(chunk), job.request.signal));
	for (const directory of ['blobs/', 'blobs/sha256/']) {
		await archive.directory(directory);
	}
	for (const {digest} of gathered.blobs) {
		await using reader = await job.scope.content.open(digest);
		await archive.file(blobPath(digest), {mode: 0o444, size: reader.size, bytes: reader.read({signal: job.request.signal})});
	}
	await archive.json('index.json', {
		schemaVersion: 2,
		mediaType: mediaTypes.ociIndex,
		manifests: await Promise.all(images.map(async ({name, target}) => ({
			...target,
			annotations: {...target.annotations, ...await sourcesOf(job, target), 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tagOf(name)},
		}))),
	});
	if (destination.skipCompatibilityManifest !== true && gathered.images.length > 0) {
		await archive.json('manifest.json', gathered.images.map(({name, config, layers}) => ({Config: blobPath(config), RepoTags: [name], Layers: layers.map(blobPath)})));
	}
	await archive.json('oci-layout', {imageLayoutVersion: '1.0.0'});
	await archive.end();
}

/** Where the image came from, as containerd's exports say it too. */
async function sourcesOf(job: Job, {digest}: Descriptor): Promise<Record<string, string>> {
	const {labels} = await job.scope.content.info(digest);
	return Object.fromEntries(Object.entries(labels).filter(([key]) => key.startsWith('containerd.io/distribution.source.')));
}

function blobPath(digest: Digest): string {
	return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

function tagOf(name: string): string {
	const colon = name.lastIndexOf(':');
	return colon > name.lastIndexOf('/') ? name.slice(colon + 1) : 'latest';
}
