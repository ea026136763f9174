import {bytesOf} from '../../api/convert/bytes.ts';
import {timestampOf} from '../../api/convert/timestamp.ts';
import {WriteAction, type WriteContentResponse} from '../../api/gen/services/content/v1/content.ts';
import type {ContentStore, ContentWriter} from '../../contracts/content/content.ts';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import type {WriteRequest} from './write-request.ts';

/**
 * Content.Write, request by request. The first opens the writer by its ref; each is answered with where the ingest stands then; the one that
 * commits ends it. Whatever ends it earlier gives the ref's lock back and keeps what was written.
 */
export async function* writeBlob(
	store: ContentStore,
	requests: AsyncIterable<WriteRequest>,
	signal: AbortSignal,
): AsyncGenerator<WriteContentResponse, void, undefined> {
	const iterator = requests[Symbol.asyncIterator]();
	const first = await iterator.next();
	if (first.done === true) {
		return;
	}
	await using session = await WriteSession.open(store, first.value, signal);
	for (let next: IteratorResult<WriteRequest> = first; next.done !== true; next = await iterator.next()) {
		yield await session.answer(next.value);
		if (next.value.action === WriteAction.COMMIT) {
			return;
		}
	}
}

class WriteSession implements AsyncDisposable {
	readonly #store: ContentStore;
	readonly #ref: string;
	readonly #writer: ContentWriter;
	/** As announced: the first request's, or what a later one says instead. */
	#expected: Digest | undefined;
	#total: number;

	private constructor(store: ContentStore, writer: ContentWriter, announced: {readonly ref: string; readonly expected: Digest | undefined; readonly total: number}) {
		this.#store = store;
		this.#writer = writer;
		this.#ref = announced.ref;
		this.#expected = announced.expected;
		this.#total = announced.total;
	}

	static async open(store: ContentStore, request: WriteRequest, signal: AbortSignal): Promise<WriteSession> {
		const {ref} = request;
		if (ref === '') {
			throw new KeelsonError('INVALID_ARGUMENT', 'first message must have a reference');
		}
		const expected = expectedOf(request);
		const total = bytesOf(request.total, 'total');
		try {
			const writer = await store.writer({ref, signal, ...(expected === undefined ? {} : {expected}), ...(total === 0 ? {} : {total})});
			return new WriteSession(store, writer, {ref, expected, total});
		} catch (error) {
			if (isKeelsonError(error, 'ALREADY_EXISTS')) {
				await abortIngest(store, ref);
			}
			throw error;
		}
	}

	async answer(request: WriteRequest): Promise<WriteContentResponse> {
		const expected = expectedOf(request);
		if (expected !== undefined && expected !== this.#expected) {
			this.#expected = expected;
			await this.#refuseExisting(expected);
		}
		this.#total = bytesOf(request.total, 'total') || this.#total;
		const digest = await this.#act(request);
		const {offset, startedAt, updatedAt} = this.#writer.status();
		return {
			action: request.action, startedAt: timestampOf(startedAt), updatedAt: timestampOf(updatedAt),
			offset: BigInt(offset), total: BigInt(this.#total), digest: digest ?? '',
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#writer[Symbol.asyncDispose]();
	}

	async #act(request: WriteRequest): Promise<Digest | undefined> {
		switch (request.action) {
			case WriteAction.STAT:
				return this.#writer.digest();
			case WriteAction.WRITE:
				await this.#write(request);
				// Who has not said what to expect may ask its writer before the commit, and names this digest in it; for others nobody waits until all is hashed.
				return this.#expected === undefined ? this.#writer.digest() : undefined;
			case WriteAction.COMMIT:
				await this.#write(request);
				return this.#writer.commit({
					labels: request.labels,
					...(this.#total === 0 ? {} : {size: this.#total}),
					...(this.#expected === undefined ? {} : {expected: this.#expected}),
				});
			default:
				throw new KeelsonError('INVALID_ARGUMENT', `write action ${String(request.action)} is none of STAT, WRITE and COMMIT`);
		}
	}

	async #write({offset: given, data}: WriteRequest): Promise<void> {
		const {offset} = this.#writer.status();
		const at = bytesOf(given, 'offset');
		if (at !== 0 && at !== offset) {
			throw new KeelsonError('OUT_OF_RANGE', `write @${at} must occur at current offset ${offset}`);
		}
		// Clients rely on it: offset 0 begins anew, also with a commit.
		if (at === 0 && offset > 0) {
			await this.#writer.truncate(0);
		}
		for (const part of data) {
			await this.#writer.write(part);
		}
	}

	/** A blob that has come meanwhile makes the rest of the ingest pointless. */
	async #refuseExisting(digest: Digest): Promise<void> {
		try {
			await this.#store.info(digest);
		} catch (error) {
			if (isKeelsonError(error, 'NOT_FOUND')) {
				return;
			}
			throw error;
		}
		await this.#writer[Symbol.asyncDispose]();
		await abortIngest(this.#store, this.#ref);
		// Refused by the store itself, which puts the blob under the caller's lease.
		await using _ = await this.#store.writer({ref: this.#ref, expected: digest});
		throw new KeelsonError('ALREADY_EXISTS', `content ${digest}: already exists`);
	}
}

function expectedOf({expected}: WriteRequest): Digest | undefined {
	return expected === '' ? undefined : parseDigest(expected);
}

/** Another request may hold the ref or have ended it: then it is theirs. */
async function abortIngest(store: ContentStore, ref: string): Promise<void> {
	try {
		await store.abort(ref);
	} catch (error) {
		if (!isKeelsonError(error, 'NOT_FOUND') && !isKeelsonError(error, 'UNAVAILABLE')) {
			throw error;
		}
	}
}
