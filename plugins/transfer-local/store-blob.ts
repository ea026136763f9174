import {setTimeout as delay} from 'node:timers/promises';
import type {ContentWriter} from '../../contracts/content/content.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import {refKey} from './manifest.ts';
import type {Job} from './transfer.ts';

interface Options {
	/** The blob's bytes from an offset on; called again where they broke off. */
	open(offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
	readonly labels: Labels;
	readonly signal: AbortSignal;
	readonly parents?: readonly string[];
}

const FRUITLESS_ATTEMPTS = 3;
const LOCK_POLL_MS = 100;

/**
 * Brings a blob into the store, unless it is there. Goes on where an earlier attempt stopped. Rejects with FAILED_PRECONDITION when the bytes are not those
 * of the descriptor; then nothing of them is kept.
 */
export async function storeBlob(job: Job, descriptor: Descriptor, options: Options): Promise<void> {
	const name = refKey(descriptor);
	const {parents = [], signal} = options;
	const details = {parents, total: descriptor.size, descriptor};
	await job.locks.run(`${job.scope.namespace} ${descriptor.digest}`, signal, async () => {
		await using writer = await openWriter(job, descriptor, signal);
		if (writer === undefined) {
			await addLabels(job, descriptor, options.labels);
			job.report('already exists', name, {...details, progress: descriptor.size});
			return;
		}
		const resumedAt = writer.status().offset;
		try {
			await copy(job, {descriptor, writer, options});
			await commit(writer, descriptor, options.labels);
		} catch (error) {
			if (!isKeelsonError(error, 'FAILED_PRECONDITION')) {
				throw error;
			}
			await writer.truncate(0);
			if (resumedAt === 0) {
				throw error;
			}
			// What an earlier attempt left was not what it seemed.
			await copy(job, {descriptor, writer, options});
			await commit(writer, descriptor, options.labels);
		}
		job.report('complete', name, {...details, progress: descriptor.size});
	});
}

/** Undefined when the blob is here. Waits for another writer of the same blob (a client of the content service) to end. */
async function openWriter(job: Job, descriptor: Descriptor, signal: AbortSignal): Promise<ContentWriter | undefined> {
	for (;;) {
		try {
			return await job.scope.content.writer({ref: refKey(descriptor), expected: descriptor.digest, total: descriptor.size, signal});
		} catch (error) {
			if (isKeelsonError(error, 'ALREADY_EXISTS')) {
				return undefined;
			}
			if (!isKeelsonError(error, 'UNAVAILABLE')) {
				throw error;
			}
			await delay(LOCK_POLL_MS, undefined, {signal});
		}
	}
}

async function copy(job: Job, {descriptor, writer, options: {open, parents = [], signal}}: {descriptor: Descriptor; writer: ContentWriter; options: Options}): Promise<void> {
	const name = refKey(descriptor);
	const {size, digest} = descriptor;
	if (writer.status().offset === size && size > 0) {
		return;
	}
	let fruitless = 0;
	for (;;) {
		const before = writer.status().offset;
		try {
			for await (const chunk of open(before, signal)) {
				if (writer.status().offset + chunk.length > size) {
					throw new KeelsonError('FAILED_PRECONDITION', `${digest} has more than the ${size} bytes that its descriptor says`);
				}
				await writer.write(chunk);
				job.report('downloading', name, {parents, total: size, descriptor, progress: writer.status().offset});
			}
			if (writer.status().offset < size) {
				throw new KeelsonError('UNAVAILABLE', `${digest} ended after ${writer.status().offset} of ${size} bytes`);
			}
			return;
		} catch (error) {
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

async function addLabels(job: Job, {digest}: Descriptor, labels: Labels): Promise<void> {
	const names = Object.keys(labels);
	if (names.length > 0) {
		await job.scope.content.update(digest, labels, names.map(name => `labels.${name}`));
	}
}
