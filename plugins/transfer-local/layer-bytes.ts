import type {GrowingFile} from '../../contracts/content/content.ts';
import type {LayerBytes} from '../../contracts/diff/diff.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Job} from './job.ts';
import {downloadKey} from './store-blob.ts';
import type {LayerArrival} from './unpack-targets.ts';

/** A layer's bytes until disposed: as a download brings them, or of the blob. */
export interface OpenLayer extends AsyncDisposable {
	readonly bytes: LayerBytes;
	/** Nobody has checked the bytes yet. */
	readonly isGrowing: boolean;
}

/** Resolves as soon as there is something to read: the blob, or a download that can be followed. Rejects as the arrival does. */
export async function openLayer(job: Job, descriptor: Descriptor, {arrival, mayFollow}: {readonly arrival: LayerArrival; readonly mayFollow: boolean}): Promise<OpenLayer> {
	const growing = mayFollow ? await followed(job, descriptor, arrival) : undefined;
	if (growing !== undefined) {
		const {file, growth} = growing;
		return {bytes: {descriptor, file, growth, read: signal => afterArrival(job, descriptor, {arrival, signal})}, isGrowing: true, [Symbol.asyncDispose]: async () => growing[Symbol.asyncDispose]()};
	}
	await arrival(descriptor);
	const reader = await job.scope.content.open(descriptor.digest);
	const {file} = reader;
	return {
		bytes: {descriptor, ...(file === undefined ? {} : {file}), read: signal => reader.read({signal: signal ?? job.request.signal})},
		isGrowing: false,
		[Symbol.asyncDispose]: async () => reader[Symbol.asyncDispose](),
	};
}

/** Undefined when the blob has arrived first. */
async function followed(job: Job, descriptor: Descriptor, arrival: LayerArrival): Promise<GrowingFile | undefined> {
	const ending = new AbortController();
	const signal = AbortSignal.any([job.request.signal, ending.signal]);
	const begun = job.downloads.begun(downloadKey(job, descriptor.digest), signal);
	// Nobody may wait for it any more.
	begun.catch(() => undefined);
	try {
		const follow = await Promise.race([begun, arrival(descriptor)]);
		return typeof follow === 'function' ? await follow() : undefined;
	} finally {
		ending.abort();
	}
}

/** For a differ that cannot read the file. */
async function * afterArrival(job: Job, descriptor: Descriptor, {arrival, signal}: {readonly arrival: LayerArrival; readonly signal: AbortSignal | undefined}): AsyncIterable<Uint8Array> {
	await arrival(descriptor);
	await using reader = await job.scope.content.open(descriptor.digest);
	yield * reader.read({signal: signal ?? job.request.signal});
}
