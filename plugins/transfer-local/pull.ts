import type {Repository} from '../../contracts/fetch/fetch.ts';
import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isIndex, isManifest} from '../../contracts/oci/media-type.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {parseReference} from '../../contracts/oci/reference.ts';
import type {RegistryEnd, StoreEnd} from '../../contracts/transfer/transfer.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {choosePlatforms} from './choose-platforms.ts';
import type {Job} from './job.ts';
import {keepBlobs} from './keep-blobs.ts';
import {labelBlob} from './label-blob.ts';
import {childLabels, documentBytesMax, parseChildren, refKey, type Children} from './manifest.ts';
import {pullLayers} from './pull-layers.ts';
import {readDocument} from './read-document.ts';
import {saveImage} from './save-image.ts';
import {sourceLabel} from './source-label.ts';
import {storeBlob} from './store-blob.ts';
import {TreeWalk} from './tree-walk.ts';
import {checkUnpacks} from './unpack-targets.ts';

/** One pull: what it needs beside the job. */
export interface Pull {
	readonly repository: Repository;
	readonly destination: StoreEnd;
	readonly walk: TreeWalk;
	/** Of its blobs: a later push to the same registry can mount them from there. */
	readonly sources: Labels;
}

/**
 *     resolve ─► index ─► manifests ─► config, layers ─► (as layers arrive, in order) snapshots ─► the image's name
 */
export async function pull(job: Job, source: RegistryEnd, destination: StoreEnd): Promise<readonly ImageInfo[]> {
	const {reference} = source;
	const place = `OCI Registry (${reference})`;
	checkUnpacks(job, destination);
	job.report(`Resolving from ${place}`);
	const {hostDirectory} = job.settings;
	const name = destination.name === '' ? reference : destination.name;
	const isToBeRead = await isUnknown(job, name);
	await using repository = await job.registry.resolve(reference, {...(hostDirectory === '' ? {} : {hostDirectory}), ...source.options, isToBeRead, signal: job.request.signal});
	const {descriptor: target} = repository;
	job.report(`Pulling from ${place}`);
	job.report('fetching image content', reference, {descriptor: target});
	const manifests = await pullTree(job, {repository, destination, walk: new TreeWalk(), sources: {[sourceLabel(repository.name)]: parseReference(repository.name).repository}}, target, [reference]);
	if (manifests === 0) {
		throw new KeelsonError('NOT_FOUND', `image ${reference} has no manifest for the platform that was asked for: not found`);
	}
	const image = await saveImage(job, {name, labels: destination.labels ?? {}, target});
	job.report('saved', image.name, {descriptor: image.target});
	for (const notice of repository.notices?.() ?? []) {
		job.report(notice);
	}
	job.report(`Completed pull from ${place}`);
	return [image];
}

/** Whoever has an image by that name most often has what it stands for. */
async function isUnknown(job: Job, name: string): Promise<boolean> {
	try {
		await job.scope.images.get(name);
		return false;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return true;
		}
		throw error;
	}
}

/** Resolves to the number of image manifests that came with all they need. */
async function pullTree(job: Job, pulling: Pull, descriptor: Descriptor, parents: readonly string[], depth = 0): Promise<number> {
	const {destination, walk} = pulling;
	if (!walk.enter(descriptor, depth)) {
		return 0;
	}
	const children = await pullDocument(job, pulling, descriptor, parents);
	const below = [refKey(descriptor)];
	if (!isIndex(descriptor.mediaType)) {
		await pullImage(job, pulling, {descriptor, children, below});
		return 1;
	}
	const wanted = choosePlatforms(children.manifests, {platforms: destination.platforms ?? [], limit: destination.manifestLimit ?? 0});
	if (destination.allMetadata === true) {
		for (const other of children.manifests.filter(manifest => !wanted.includes(manifest))) {
			await pullMetadata(job, pulling, other, below, depth + 1);
		}
	}
	let count = 0;
	for (const manifest of wanted) {
		count += await pullTree(job, pulling, manifest, below, depth + 1);
	}
	return count;
}

/** The documents of what is not wanted as a whole. */
async function pullMetadata(job: Job, pulling: Pull, descriptor: Descriptor, parents: readonly string[], depth: number): Promise<void> {
	if (!pulling.walk.enter(descriptor, depth)) {
		return;
	}
	const {config, manifests} = await pullDocument(job, pulling, descriptor, parents);
	if (config !== undefined) {
		announce(job, [config], [refKey(descriptor)]);
		await pullBlob(job, pulling, config, [refKey(descriptor)]);
	}
	for (const manifest of manifests) {
		await pullMetadata(job, pulling, manifest, [refKey(descriptor)], depth + 1);
	}
}

/** A manifest or an index: fetched whole, kept with labels that name its children. */
async function pullDocument(job: Job, pulling: Pull, descriptor: Descriptor, parents: readonly string[]): Promise<Children> {
	const {mediaType, digest, size} = descriptor;
	if (!isIndex(mediaType) && !isManifest(mediaType)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${digest} is of media type ${JSON.stringify(mediaType.slice(0, 200))}, expected a manifest or an index`);
	}
	if (size > documentBytesMax) {
		throw new KeelsonError('RESOURCE_EXHAUSTED', `manifest ${digest} has ${size} bytes, at most ${documentBytesMax} are read`);
	}
	announce(job, [descriptor], parents);
	await pullBlob(job, pulling, descriptor, parents);
	const children = parseChildren(await readDocument(job, descriptor), descriptor);
	await labelBlob(job, await job.scope.content.info(digest), childLabels(children));
	return children;
}

async function pullImage(job: Job, pulling: Pull, {descriptor, children, below}: {descriptor: Descriptor; children: Children; below: readonly string[]}): Promise<void> {
	const {config, layers} = children;
	const parts = [...config === undefined ? [] : [config], ...layers];
	const here = await keepBlobs(job, parts, {labels: pulling.sources, parents: below});
	announce(job, parts.filter(({digest}) => !here.has(digest)), below);
	if (config !== undefined && config.size > documentBytesMax) {
		throw new KeelsonError('RESOURCE_EXHAUSTED', `config ${config.digest} has ${config.size} bytes, at most ${documentBytesMax} are read`);
	}
	const pullMissing = async (part: Job, blob: Descriptor): Promise<void> => here.has(blob.digest) ? undefined : pullBlob(part, pulling, blob, below);
	await pullLayers(job, {destination: pulling.destination, descriptor, children, here}, pullMissing);
}

function announce(job: Job, descriptors: readonly Descriptor[], parents: readonly string[]): void {
	for (const descriptor of descriptors) {
		job.report('waiting', refKey(descriptor), {parents, descriptor, total: descriptor.size});
	}
}

async function pullBlob(job: Job, {repository, sources}: Pull, descriptor: Descriptor, parents: readonly string[]): Promise<void> {
	const {signal} = job.request;
	await storeBlob(job, descriptor, {
		labels: sources,
		parents,
		signal,
		open: (offset, inner) => repository.open(descriptor, {offset, signal: inner}),
	});
}
