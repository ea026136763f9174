import type {PushTarget} from '../../contracts/fetch/fetch.ts';
import type {ImageInfo} from '../../contracts/metadata/metadata.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {isForeignLayer, isIndex, isManifest} from '../../contracts/oci/media-type.ts';
import {parseReference} from '../../contracts/oci/reference.ts';
import type {RegistryEnd, StoreEnd} from '../../contracts/transfer/transfer.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {choosePlatforms} from './choose-platforms.ts';
import {withSignal, type Job} from './job.ts';
import {forEachLimited} from './limit.ts';
import {parseChildren, refKey} from './manifest.ts';
import {readDocument} from './read-document.ts';
import {sourceLabel} from './source-label.ts';
import {TreeWalk} from './tree-walk.ts';

const ATTEMPTS = 3;

/** Blobs first, then the manifests that name them, the root under the reference's tag last: a registry never has a manifest without its parts. */
export async function push(job: Job, source: StoreEnd, destination: RegistryEnd): Promise<readonly ImageInfo[]> {
	const {signal} = job.request;
	const image = await job.scope.images.get(source.name);
	const place = `OCI Registry (${destination.reference})`;
	job.report(`Pushing to ${place}`);
	job.report('pushing content', image.name, {descriptor: image.target});
	const {blobs, manifests, parentsOf} = await gather(job, image, source);
	const {hostDirectory} = job.settings;
	await using target = await job.registry.target(destination.reference, {...(hostDirectory === '' ? {} : {hostDirectory}), ...destination.options, signal});
	const sending = {target, destination, parentsOf};
	await forEachLimited(blobs, {concurrency: job.settings.concurrentUploads, signal}, async (blob, inner) => {
		await send(withSignal(job, inner), blob, sending);
	});
	for (const manifest of manifests) {
		await send(job, manifest, {...sending, byDigest: manifest !== manifests.at(-1)});
	}
	job.report('pushed content', image.name, {descriptor: image.target});
	job.report(`Completed push to ${place}`, '', {descriptor: image.target});
	return [];
}

interface Gathered {
	readonly blobs: readonly Descriptor[];
	/** After what they name. */
	readonly manifests: readonly Descriptor[];
	/** For progress: the name of what a descriptor stands in. */
	readonly parentsOf: ReadonlyMap<Digest, readonly string[]>;
}

/** Everything below an image. */
async function gather(job: Job, {name, target}: ImageInfo, {platforms = []}: StoreEnd): Promise<Gathered> {
	const blobs = new Map<Digest, Descriptor>();
	const manifests = new Map<Digest, Descriptor>();
	const parentsOf = new Map<Digest, readonly string[]>();
	const walk = new TreeWalk();
	const announce = (descriptor: Descriptor, parents: readonly string[]): void => {
		if (!parentsOf.has(descriptor.digest)) {
			parentsOf.set(descriptor.digest, parents);
			job.report('waiting', refKey(descriptor), {parents, descriptor, total: descriptor.size});
		}
	};
	const visit = async (descriptor: Descriptor, parents: readonly string[], depth: number): Promise<void> => {
		announce(descriptor, parents);
		if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) {
			blobs.set(descriptor.digest, descriptor);
			return;
		}
		if (!walk.enter(descriptor, depth)) {
			return;
		}
		const children = parseChildren(await readDocument(job, descriptor), descriptor);
		for (const child of [...choosePlatforms(children.manifests, {platforms, limit: 0}), ...children.config === undefined ? [] : [children.config], ...children.layers]) {
			if (!isForeignLayer(child.mediaType)) {
				await visit(child, [refKey(descriptor)], depth + 1);
			}
		}
		manifests.set(descriptor.digest, descriptor);
	};
	await visit(target, [name], 0);
	return {blobs: [...blobs.values()], manifests: [...manifests.values()], parentsOf};
}

interface Sending {
	readonly target: PushTarget;
	readonly destination: RegistryEnd;
	readonly parentsOf: Gathered['parentsOf'];
	readonly byDigest?: boolean;
}

/** What broke on the way is pushed anew: the registry forgets what came of it. */
async function send(job: Job, descriptor: Descriptor, sending: Sending): Promise<void> {
	for (let attempt = 1; ; attempt++) {
		try {
			await sendOnce(job, descriptor, sending);
			return;
		} catch (error) {
			if (attempt === ATTEMPTS || job.request.signal.aborted || !isKeelsonError(error, 'UNAVAILABLE')) {
				throw error;
			}
		}
	}
}

async function sendOnce(job: Job, descriptor: Descriptor, {target, destination, parentsOf, byDigest = false}: Sending): Promise<void> {
	const {signal} = job.request;
	const name = refKey(descriptor);
	const details = {descriptor, total: descriptor.size, parents: parentsOf.get(descriptor.digest) ?? []};
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
