import {setTimeout as delay} from 'node:timers/promises';
import type {ContentWriter} from '../../contracts/content/content.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {Job} from './job.ts';
import {keepBlobs, type KeepOptions} from './keep-blobs.ts';
import {abandon} from './keep-bytes.ts';
import {refKey} from './manifest.ts';

interface Options extends KeepOptions {
	/** The blob's bytes from an offset on; called again where they broke off. */
	open(offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
	readonly signal: AbortSignal;
}

const FRUITLESS_ATTEMPTS = 3;
const LOCK_POLL_MS = 100;
const PROGRESS_MS = 100;

/**
 * Brings a blob into the store, unless it is there. Goes on where an earlier attempt stopped. Rejects with FAILED_PRECONDITION when the bytes are not those
 * of the descriptor; then nothing of them is kept.
 */
export async function storeBlob(job: Job, descriptor: Descriptor, options: Options): Promise<void> {
	const name = refKey(descriptor);
	const {parents = [], signal} = options;
	const key = downloadKey(job, descriptor.digest);
	if ((await keepBlobs(job, [descriptor], options)).size > 0) {
		return;
	}
	await job.locks.run(key, signal, async () => {
		try {
			await using writer = await openWriter(job, descriptor, signal);
			if (writer === undefined) {
				await keepBlobs(job, [descriptor], options);
				return;
			}
			using _ = job.downloads.begin(key, async () => writer.follow?.());
			await fill(job, {descriptor, writer, options});
		} catch (error) {
			if (isKeelsonError(error, 'FAILED_PRECONDITION')) {
				await abandon(job, name);
			}
			throw error;
		}
		job.report('complete', name, {parents, total: descriptor.size, progress: descriptor.size, descriptor});
	});
}

/** Of what is done once. */
export function downloadKey({scope: {namespace}}: Job, digest: Digest): string {
	return `${namespace} ${digest}`;
}

/** Undefined when the blob is here, which the job's lease then protects. Waits for another writer of the same blob (a client of the content service) to end. */
async function openWriter(job: Job, descriptor: Descriptor, signal: AbortSignal): Promise<ContentWriter | undefined> {
	const ref = refKey(descriptor);
	for (let hasAbandoned = false; ;) {
		try {
			return await job.scope.content.writer({ref, expected: descriptor.digest, total: descriptor.size, signal});
		} catch (error) {
			if (isKeelsonError(error, 'ALREADY_EXISTS')) {
				return undefined;
			}
			if (isKeelsonError(error, 'FAILED_PRECONDITION') && !hasAbandoned) {
				// Begun earlier for a descriptor that said another size: its bytes are worth nothing.
				hasAbandoned = true;
				await abandon(job, ref);
			} else if (isKeelsonError(error, 'UNAVAILABLE')) {
				await delay(LOCK_POLL_MS, undefined, {signal});
			} else {
				throw error;
			}
		}
	}
}

interface Filling {
	readonly descriptor: Descriptor;
	readonly writer: ContentWriter;
	readonly options: Options;
}

/** Bytes that were put together of several answers, or of an earlier attempt, and are wrong as a whole are asked for once more from the start. */
async function fill(job: Job, filling: Filling): Promise<void> {
	const {writer, descriptor, options} = filling;
	let isPieced = writer.status().offset > 0;
	for (let isAgain = false; ; isAgain = true) {
		try {
			isPieced = await copy(job, filling) || isPieced;
			await commit(writer, descriptor, options.labels);
			return;
		} catch (error) {
			if (!isKeelsonError(error, 'FAILED_PRECONDITION') || !isPieced || isAgain) {
				throw error;
			}
			await writer.truncate(0);
		}
	}
}

/** True when it took more than one answer. */
async function copy(job: Job, {descriptor, writer, options: {open, parents = [], signal}}: Filling): Promise<boolean> {
	const name = refKey(descriptor);
	const {size, digest} = descriptor;
	let fruitless = 0;
	let toldAt = Number.NEGATIVE_INFINITY;
	for (let answers = 0; ; answers++) {
		const before = writer.status().offset;
		if (before === size && (size > 0 || answers > 0)) {
			return answers > 1;
		}
		try {
			for await (const chunk of open(before, signal)) {
				if (writer.status().offset + chunk.length > size) {
					throw new KeelsonError('FAILED_PRECONDITION', `${digest} has more than the ${size} bytes that its descriptor says`);
				}
				await writer.write(chunk);
				// A message for each piece of the network would cost more than the piece.
				if (performance.now() - toldAt >= PROGRESS_MS) {
					toldAt = performance.now();
					job.report('downloading', name, {parents, total: size, descriptor, progress: writer.status().offset});
				}
			}
			if (writer.status().offset < size) {
				throw new KeelsonError('UNAVAILABLE', `${digest} ended after ${writer.status().offset} of ${size} bytes`);
			}
		} catch (error) {
			if (isKeelsonError(error, 'OUT_OF_RANGE')) {
				throw new KeelsonError('FAILED_PRECONDITION', `${digest} has less than the ${size} bytes that its descriptor says`, {cause: error});
			}
			fruitless = writer.status().offset > before ? 0 : fruitless + 1;
			if (!isKeelsonError(error, 'UNAVAILABLE') || signal.aborted || fruitless >= FRUITLESS_ATTEMPTS) {
				throw error;
			}
			await delay(100 * 2 ** fruitless, undefined, {signal});
		}
	}
}

async function commit(writer: ContentWriter, {digest, size}: Descriptor, labels: Labels): Promise<void> {
	try {
		await writer.commit({size, expected: digest, labels});
	} catch (error) {
		if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
			throw error;
		}
	}
}
