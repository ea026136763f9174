import type {Repository} from '../../contracts/fetch/fetch.ts';
import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {isForeignLayer, isIndex, isManifest} from '../../contracts/oci/media-type.ts';
import {parseReference} from '../../contracts/oci/reference.ts';
import type {RegistryEnd, StoreEnd} from '../../contracts/transfer/transfer.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {choosePlatforms} from './choose-platforms.ts';
import {forEachLimited} from './limit.ts';
import {childLabels, documentBytesMax, parseChildren, refKey, type Children} from './manifest.ts';
import {readDocument} from './read-document.ts';
import {saveImage} from './save-image.ts';
import {sourceLabel} from './source-label.ts';
import {storeBlob} from './store-blob.ts';
import type {Job} from './transfer.ts';
import {unpackTargets, type LayerArrival} from './unpack-targets.ts';
import {unpackImage} from './unpack.ts';

/**
 *     resolve ─► index ─► manifests ─► config, layers ─► (as layers arrive, in order) snapshots ─► the image's name
 */
export async function pull(job: Job, source: RegistryEnd, destination: StoreEnd): Promise<readonly ImageInfo[]> {
	const {signal} = job.request;
	job.report(`Resolving from ${source.reference}`);
	const {hostDirectory} = job.settings;
	await using repository = await job.registry.resolve(source.reference, {...(hostDirectory === '' ? {} : {hostDirectory}), ...source.options, signal});
	job.report('pulling image content');
	job.report('resolved', refKey(repository.descriptor), {descriptor: repository.descriptor, total: repository.descriptor.size});
	const manifests = await pullTree(job, {repository, destination}, repository.descriptor, []);
	if (manifests === 0) {
		throw new KeelsonError('NOT_FOUND', `image ${source.reference} has no manifest for the platform that was asked for: not found`);
	}
	const image = await saveImage(job, {name: destination.name === '' ? source.reference : destination.name, labels: destination.labels ?? {}, target: repository.descriptor});
	job.report('saved', image.name, {descriptor: image.target});
	job.report(`Completed pull from ${source.reference}`);
	return [image];
}

interface Pull {
	readonly repository: Repository;
	readonly destination: StoreEnd;
}

/** Resolves to the number of image manifests that came with all they need. */
async function pullTree(job: Job, pulling: Pull, descriptor: Descriptor, parents: readonly string[]): Promise<number> {
	const {destination} = pulling;
	const children = await pullDocument(job, pulling, descriptor, parents);
	const below = [refKey(descriptor)];
	if (!isIndex(descriptor.mediaType)) {
		await pullImage(job, pulling, {descriptor, children, below});
		return 1;
	}
	const wanted = choosePlatforms(children.manifests, {platforms: destination.platforms ?? [], limit: destination.manifestLimit ?? 0});
	if (destination.allMetadata === true) {
		for (const other of children.manifests.filter(manifest => !wanted.includes(manifest))) {
			const {config} = await pullDocument(job, pulling, other, below);
			if (config !== undefined) {
				await pullBlob(job, pulling, config, {parents: [refKey(other)], signal: job.request.signal});
			}
		}
	}
	let count = 0;
	for (const manifest of wanted) {
		count += await pullTree(job, pulling, manifest, below);
	}
	return count;
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
	await pullBlob(job, pulling, descriptor, {parents, signal: job.request.signal});
	const children = parseChildren(await readDocument(job, descriptor), descriptor);
	const labels = childLabels(children);
	if (Object.keys(labels).length > 0) {
		await job.scope.content.update(digest, labels, Object.keys(labels).map(name => `labels.${name}`));
	}
	return children;
}

async function pullImage(job: Job, pulling: Pull, {descriptor, children, below}: {descriptor: Descriptor; children: Children; below: readonly string[]}): Promise<void> {
	const {config, layers} = children;
	if (config !== undefined) {
		await pullBlob(job, pulling, config, {parents: below, signal: job.request.signal});
	}
	const arrivals = new Map<string, PromiseWithResolvers<void>>(layers.map(({digest}) => [digest, Promise.withResolvers<void>()]));
	for (const {promise} of arrivals.values()) {
		promise.catch(() => undefined);
	}
	const arrival: LayerArrival = async ({digest}) => arrivals.get(digest)?.promise;
	const unpacking = unpackAll(job, pulling, {descriptor, children, arrival});
	unpacking.catch(() => undefined);
	try {
		await forEachLimited(uniqueLayers(layers), {concurrency: job.settings.concurrentDownloads, signal: job.request.signal}, async (layer, signal) => {
			await pullBlob(job, pulling, layer, {parents: below, signal});
			arrivals.get(layer.digest)?.resolve();
		});
	} catch (error) {
		for (const {reject} of arrivals.values()) {
			reject(error);
		}
		await unpacking.catch(() => undefined);
		throw error;
	}
	await unpacking;
}

async function unpackAll(job: Job, {destination}: Pull, {descriptor, children, arrival}: {descriptor: Descriptor; children: Children; arrival: LayerArrival}): Promise<void> {
	for (const target of await unpackTargets(job, destination, {descriptor, children})) {
		await unpackImage(job, target, {children, arrival, parents: [refKey(descriptor)]});
	}
}

async function pullBlob(job: Job, {repository}: Pull, descriptor: Descriptor, {parents, signal}: {parents: readonly string[]; signal: AbortSignal}): Promise<void> {
	await storeBlob(job, descriptor, {
		labels: sourceLabels(repository),
		parents,
		signal,
		open: (offset, inner) => repository.open(descriptor, {offset, signal: inner}),
	});
}

/** Where a blob came from: a later push to the same registry can mount it. */
function sourceLabels({name}: Repository): Labels {
	return {[sourceLabel(name)]: parseReference(name).repository};
}

/** A layer that an image has twice is fetched once; foreign ones are fetched only where they can be. */
function uniqueLayers(layers: readonly Descriptor[]): readonly Descriptor[] {
	return [...new Map(layers.map(layer => [layer.digest, layer])).values()].filter(({mediaType}) => !isForeignLayer(mediaType));
}
