import {bytesOf} from '../../api/convert/bytes.ts';
import {dateOf} from '../../api/convert/timestamp.ts';
import {ContentDefinition, WriteAction, type WriteContentRequest, type WriteContentResponse} from '../../api/gen/services/content/v1/content.ts';
import type {CommitOptions, ContentWriter, IngestStatus, WriterOptions} from '../../contracts/content/content.ts';
import {parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Connection} from './connection.ts';
import type {DuplexCall} from './duplex-call.ts';
import {withRoot} from './root-label.ts';

// A message is at most 4 MiB with some peers; larger ones are not faster.
const CHUNK_BYTES = 1024 * 1024;

type WriteCall = DuplexCall<WriteContentRequest, WriteContentResponse>;

/** One Content.Write call: each request is answered before the next is sent, so the peer holds us back. */
export class RemoteWriter implements ContentWriter {
	readonly #call: WriteCall;
	#status: IngestStatus;
	#digest: Digest | undefined;

	private constructor(call: WriteCall, status: IngestStatus) {
		this.#call = call;
		this.#status = status;
	}

	static async open(connection: Connection, {ref, expected, total = 0, signal}: WriterOptions): Promise<RemoteWriter> {
		const {fullName, methods} = ContentDefinition;
		const call = connection.duplex(fullName, methods.write);
		const cancel = (): void => void call[Symbol.asyncDispose]();
		signal?.addEventListener('abort', cancel, {once: true});
		try {
			const now = new Date();
			const writer = new RemoteWriter(call, {ref, offset: 0, total, ...(expected === undefined ? {} : {expected}), startedAt: now, updatedAt: now});
			await writer.#ask({action: WriteAction.STAT, ref, expected: expected ?? '', total: BigInt(total)});
			return writer;
		} catch (error) {
			await call[Symbol.asyncDispose]();
			signal?.throwIfAborted();
			throw error;
		} finally {
			signal?.removeEventListener('abort', cancel);
		}
	}

	status(): IngestStatus {
		return this.#status;
	}

	async write(chunk: Uint8Array): Promise<void> {
		for (let start = 0; start < chunk.byteLength; start += CHUNK_BYTES) {
			const data = chunk.subarray(start, start + CHUNK_BYTES);
			await this.#ask({action: WriteAction.WRITE, offset: BigInt(this.#status.offset), data});
		}
	}

	async digest(): Promise<Digest | undefined> {
		return this.#digest;
	}

	async truncate(size: number): Promise<void> {
		if (size > this.#status.offset) {
			throw new KeelsonError('OUT_OF_RANGE', `cannot truncate ref ${this.#status.ref} to ${size} bytes, there are ${this.#status.offset}`);
		}
		if (size !== 0 && size !== this.#status.offset) {
			throw new KeelsonError('UNIMPLEMENTED', `cannot truncate ref ${this.#status.ref} to ${size} bytes: the wire knows only 0`);
		}
		if (size === 0 && this.#status.offset > 0) {
			await this.#ask({action: WriteAction.WRITE, offset: 0n});
		}
	}

	async commit({size, expected, labels = {}}: CommitOptions = {}): Promise<Digest> {
		const {digest} = await this.#ask({
			action: WriteAction.COMMIT, offset: BigInt(this.#status.offset), labels: withRoot(labels),
			total: BigInt(size ?? 0), expected: expected ?? this.#status.expected ?? '',
		});
		return parseDigest(digest);
	}

	/** Resolves when the peer has given the lock back. */
	async [Symbol.asyncDispose](): Promise<void> {
		await this.#call.close();
	}

	async #ask(request: Partial<WriteContentRequest>): Promise<WriteContentResponse> {
		await this.#call.send({ref: this.#status.ref, ...request});
		const answer = await this.#call.receive();
		if (answer === undefined) {
			throw new KeelsonError('UNAVAILABLE', `the peer has ended the writing of ref ${this.#status.ref}`);
		}
		this.#digest = answer.digest === '' ? undefined : parseDigest(answer.digest);
		this.#status = {
			...this.#status,
			offset: bytesOf(answer.offset, 'offset'),
			total: bytesOf(answer.total, 'total') || this.#status.total,
			startedAt: dateOf(answer.startedAt) ?? this.#status.startedAt,
			updatedAt: dateOf(answer.updatedAt) ?? new Date(),
		};
		return answer;
	}
}
