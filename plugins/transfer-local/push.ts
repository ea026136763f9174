import type {PushTarget} from '../../contracts/fetch/fetch.ts';
import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isForeignLayer, isIndex, isManifest} from '../../contracts/oci/media-type.ts';
import {parseReference} from '../../contracts/oci/reference.ts';
import type {RegistryEnd, StoreEnd} from '../../contracts/transfer/transfer.ts';
import {choosePlatforms} from './choose-platforms.ts';
import {forEachLimited} from './limit.ts';
import {parseChildren, refKey} from './manifest.ts';
import {readDocument} from './read-document.ts';
import {sourceLabel} from './source-label.ts';
import type {Job} from './transfer.ts';

/** Blobs first, then the manifests that name them, the root under the reference's tag last: a registry never has a manifest without its parts. */
export async function push(job: Job, source: StoreEnd, destination: RegistryEnd): Promise<readonly ImageInfo[]> {
	const {signal} = job.request;
	const image = await job.scope.images.get(source.name);
	const {hostDirectory} = job.settings;
	await using target = await job.registry.target(destination.reference, {...(hostDirectory === '' ? {} : {hostDirectory}), ...destination.options, signal});
	const {blobs, manifests} = await gather(job, image.target, source);
	job.report('pushing content');
	await forEachLimited(blobs, {concurrency: job.settings.concurrentUploads, signal}, async (blob, inner) => {
		await send(job, target, blob, {destination, signal: inner});
	});
	for (const manifest of manifests) {
		await send(job, target, manifest, {destination, signal, byDigest: manifest !== manifests.at(-1)});
	}
	job.report(`Completed push to ${destination.reference}`);
	return [];
}

/** Everything below a descriptor; manifests after what they name. */
async function gather(job: Job, root: Descriptor, {platforms = []}: StoreEnd): Promise<{blobs: readonly Descriptor[]; manifests: readonly Descriptor[]}> {
	const blobs = new Map<string, Descriptor>();
	const manifests = new Map<string, Descriptor>();
	const visit = async (descriptor: Descriptor): Promise<void> => {
		if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) {
			blobs.set(descriptor.digest, descriptor);
			return;
		}
		const children = parseChildren(await readDocument(job, descriptor), descriptor);
		for (const child of [...choosePlatforms(children.manifests, {platforms, limit: 0}), ...children.config === undefined ? [] : [children.config], ...children.layers]) {
			if (!isForeignLayer(child.mediaType)) {
				await visit(child);
			}
		}
		manifests.set(descriptor.digest, descriptor);
	};
	await visit(root);
	return {blobs: [...blobs.values()], manifests: [...manifests.values()]};
}

interface Sending {
	readonly destination: RegistryEnd;
	readonly signal: AbortSignal;
	readonly byDigest?: boolean;
}

async function send(job: Job, target: PushTarget, descriptor: Descriptor, {destination, signal, byDigest = false}: Sending): Promise<void> {
	const name = refKey(descriptor);
	const details = {descriptor, total: descriptor.size};
	const {repository} = parseReference(destination.reference);
	const {labels} = await job.scope.content.info(descriptor.digest);
	const from = labels[sourceLabel(destination.reference)]?.split(',').find(one => one !== repository);
	await using writer = await target.push(descriptor, {byDigest, signal, ...(from === undefined ? {} : {mountFrom: from})});
	if (writer === undefined) {
		job.report('already exists', name, {...details, progress: descriptor.size});
		return;
	}
	await using reader = await job.scope.content.open(descriptor.digest);
	let sent = 0;
	for await (const chunk of reader.read({signal})) {
		await writer.write(chunk);
		sent += chunk.length;
		job.report('uploading', name, {...details, progress: sent});
	}
	await writer.commit(signal);
	job.report('complete', name, {...details, progress: descriptor.size});
}
