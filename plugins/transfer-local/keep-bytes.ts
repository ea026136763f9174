import {randomUUID} from 'node:crypto';
import {isDigest, type Digest} from '../../contracts/oci/digest.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import type {Job} from './job.ts';

interface Options {
	/** What they must be; then they are not read where they are here already. */
	readonly expected?: Digest;
	/** How many there must be. */
	readonly size?: number;
	readonly labels?: Labels;
}

/**
 * Keeps bytes as a blob. Each call has an ingest of its own, so that nobody waits for another client's bytes; one that fails is gone.
 * Rejects with FAILED_PRECONDITION when the bytes are not what was expected.
 */
export async function keepBytes(job: Job, bytes: AsyncIterable<Uint8Array>, {expected, size, labels}: Options = {}): Promise<Digest> {
	const {content} = job.scope;
	const ref = `transfer-${randomUUID()}`;
	try {
		await using writer = await content.writer({ref, signal: job.request.signal, ...(expected === undefined ? {} : {expected})});
		// A blob that another namespace has is promised whole.
		if (expected === undefined || writer.status().offset !== size) {
			await writer.truncate(0);
			for await (const chunk of bytes) {
				job.request.signal.throwIfAborted();
				await writer.write(chunk);
			}
		}
		return await writer.commit({
			...(size === undefined ? {} : {size}),
			...(expected === undefined ? {} : {expected}),
			...(labels === undefined ? {} : {labels}),
		});
	} catch (error) {
		const present = isKeelsonError(error, 'ALREADY_EXISTS') ? expected ?? digestIn(error.message) : undefined;
		if (present !== undefined) {
			return present;
		}
		await abandon(job, ref);
		throw error;
	}
}

/** Throws an ingest away, if it is there. */
export async function abandon({scope: {content}}: Job, ref: string): Promise<void> {
	try {
		await content.abort(ref);
	} catch (error) {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw error;
		}
	}
}

/** A commit that found the blob there already says which it was. */
function digestIn(message: string): Digest | undefined {
	const [found = ''] = /\bsha\d+:[0-9a-f]+/.exec(message) ?? [];
	return isDigest(found) ? found : undefined;
}
