import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {isForeignLayer, isIndex, isManifest, mediaTypes} from '../../contracts/oci/media-type.ts';
import type {ImportEnd, StoreEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {choosePlatforms} from './choose-platforms.ts';
import {dockerImages} from './docker-archive.ts';
import {importedNames} from './image-names.ts';
import type {Job} from './job.ts';
import {keepArchive} from './keep-archive.ts';
import {labelBlob} from './label-blob.ts';
import {childLabels, parseChildren, refKey, type Children} from './manifest.ts';
import {readDocument} from './read-document.ts';
import {saveImage} from './save-image.ts';
import {TreeWalk} from './tree-walk.ts';
import {checkUnpacks, unpackTargets} from './unpack-targets.ts';
import {unpackImage} from './unpack.ts';

/** An OCI layout or docker-archive becomes blobs, then images with the names that it gives them. */
export async function importArchive(job: Job, source: ImportEnd, destination: StoreEnd): Promise<readonly ImageInfo[]> {
	checkUnpacks(job, destination);
	job.report('Importing');
	const archive = await keepArchive(job, source);
	const roots = archive.index === undefined ? await dockerImages(job, archive, source) : parseChildren(archive.index, indexDescriptor).manifests;
	if (roots.length === 0) {
		throw new KeelsonError('INVALID_ARGUMENT', 'archive has neither an index.json nor a manifest.json that names an image');
	}
	const keeping = {destination, walk: new TreeWalk(), aside: new TreeWalk()};
	for (const root of roots) {
		if (!await keepTree(job, keeping, root, 0)) {
			throw new KeelsonError('NOT_FOUND', `archive lacks ${root.digest}, which its index names: not found`);
		}
	}
	// Names come last: an archive that fails half-way names nothing.
	const images: ImageInfo[] = [];
	for (const root of roots) {
		const {annotations: _annotations, platform: _platform, ...target} = root;
		for (const name of importedNames(root, destination)) {
			images.push(await saveImage(job, {name, labels: destination.labels ?? {}, target}));
			job.report('saved', name, {descriptor: target});
		}
	}
	job.report('Completed import');
	return images;
}

const indexDescriptor: Descriptor = {mediaType: mediaTypes.ociIndex, digest: `sha256:${'0'.repeat(64)}`, size: 0};

interface Keeping {
	readonly destination: StoreEnd;
	readonly walk: TreeWalk;
	/** For what is kept for its bytes alone, and is not unpacked. */
	readonly aside: TreeWalk;
}

/**
 * Labels a tree of documents, and unpacks what is asked for. False when the root is not here; parts of other platforms may be missing.
 * Rejects with NOT_FOUND when an image that stands alone, or is to be unpacked, lacks a part.
 */
async function keepTree(job: Job, keeping: Keeping, descriptor: Descriptor, depth: number): Promise<boolean> {
	if ((!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) || !keeping.walk.enter(descriptor, depth)) {
		return isHere(job, descriptor.digest);
	}
	const children = await childrenOf(job, descriptor);
	if (children === undefined) {
		return false;
	}
	const {destination} = keeping;
	const aside = {destination: {...destination, unpacks: []}, walk: keeping.aside, aside: keeping.aside};
	const wanted = new Set(choosePlatforms(children.manifests, {platforms: destination.platforms ?? [], limit: destination.manifestLimit ?? 0}));
	const here = new Set<Digest>();
	for (const manifest of children.manifests) {
		if (await keepTree(job, wanted.has(manifest) ? keeping : aside, manifest, depth + 1)) {
			here.add(manifest.digest);
		}
	}
	const parts = [...children.layers, ...children.config === undefined ? [] : [children.config]];
	for (const {digest} of parts) {
		if (await isHere(job, digest)) {
			here.add(digest);
		}
	}
	await labelBlob(job, await job.scope.content.info(descriptor.digest), childLabels(children, digest => here.has(digest)));
	const targets = children.config !== undefined && here.has(children.config.digest) ? await unpackTargets(job, destination, {descriptor, children}) : [];
	const missing = parts.find(({digest, mediaType}) => !here.has(digest) && !isForeignLayer(mediaType));
	if (missing !== undefined && (depth === 0 || targets.length > 0)) {
		throw new KeelsonError('NOT_FOUND', `archive lacks ${missing.digest}, which ${refKey(descriptor)} names: not found`);
	}
	for (const target of targets) {
		await unpackImage(job, target, {children, parents: [refKey(descriptor)], arrival: () => async () => undefined});
	}
	return true;
}

async function childrenOf(job: Job, descriptor: Descriptor): Promise<Children | undefined> {
	try {
		return parseChildren(await readDocument(job, descriptor), descriptor);
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return undefined;
		}
		throw error;
	}
}

/** What is here was in the archive or in the store before: the lease holds it either way. */
async function isHere({scope: {content, leases, lease}}: Job, digest: Digest): Promise<boolean> {
	if (lease !== undefined) {
		await leases.add(lease, {type: 'content', id: digest});
	}
	try {
		await content.info(digest);
		return true;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return false;
		}
		throw error;
	}
}
