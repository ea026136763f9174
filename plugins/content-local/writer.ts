import {open} from 'node:fs/promises';
import type {CommitOptions, ContentWriter, GrowingFile, IngestStatus} from '../../contracts/content/content.ts';
import {Growth} from '../../contracts/content/growth.ts';
import {digestAlgorithm, parseDigest, type Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {isMissing, type BlobDirectory} from './blob-directory.ts';
import type {IngestDirectory} from './ingest-directory.ts';
import type {Ingester} from './ingest-worker-client.ts';
import {WriteBuffers} from './write-buffers.ts';

interface Parts {
	readonly blobs: BlobDirectory;
	readonly ingests: IngestDirectory;
	readonly worker: Ingester;
	readonly status: IngestStatus;
	readonly release: () => void;
}

/** A smaller piece of memory that is shared is copied with others. */
const SHARED_BYTES_MIN = 64 * 1024;
const BYTES_IN_FLIGHT_MAX = 4 * 1024 * 1024;
/** So long a byte may wait for others before it is written. */
const LINGER_MS = 20;

/** One ingest, its lock held. Writes are queued to the ingest thread; the first that failed fails whatever comes after it. */
export class LocalContentWriter implements ContentWriter {
	readonly #parts: Parts;
	readonly #ingest: number;
	readonly #buffers: WriteBuffers;
	#growth = new Growth();
	#linger: NodeJS.Timeout | undefined;
	#status: IngestStatus;
	#inFlight = 0;
	#tail: Promise<unknown> = Promise.resolve();
	#failure: Error | undefined;
	#isClosed = false;
	#isOpen = false;

	private constructor(parts: Parts) {
		this.#parts = parts;
		this.#status = parts.status;
		this.#ingest = parts.worker.newIngest();
		this.#buffers = new WriteBuffers(parts.status.total, (buffer, length) => this.#send(new Uint8Array(buffer, 0, length), () => this.#buffers.recycle(buffer)));
	}

	static async open(parts: Parts): Promise<LocalContentWriter> {
		const writer = new LocalContentWriter(parts);
		const algorithm = algorithmOf(parts.status.expected);
		const {size} = await parts.worker.ask({kind: 'open', ingest: writer.#ingest, file: parts.ingests.dataOf(parts.status.ref), algorithm, growth: writer.#growth.shared});
		writer.#isOpen = true;
		writer.#status = {...parts.status, offset: size};
		return writer;
	}

	status(): IngestStatus {
		return this.#status;
	}

	async write(chunk: Uint8Array): Promise<void> {
		this.#check();
		if (chunk.length === 0) {
			return;
		}
		this.#status = {...this.#status, offset: this.#status.offset + chunk.length, updatedAt: new Date()};
		if (isShared(chunk) && chunk.length >= SHARED_BYTES_MIN) {
			// The ingest thread sees it where it is; it is the caller's again when this resolves.
			this.#sendRest();
			this.#send(chunk);
			await this.#tail;
			this.#check();
			return;
		}
		this.#buffers.add(chunk);
		if (!this.#buffers.isEmpty) {
			this.#linger ??= setTimeout(() => this.#sendRest(), LINGER_MS);
		}
		if (this.#inFlight > BYTES_IN_FLIGHT_MAX) {
			await this.#tail;
			this.#check();
		}
	}

	async follow(): Promise<GrowingFile | undefined> {
		if (this.#isClosed) {
			return undefined;
		}
		const growth = this.#growth.shared;
		try {
			const handle = await open(this.#parts.ingests.dataOf(this.#status.ref), 'r');
			return {growth, file: `/proc/${process.pid}/fd/${handle.fd}`, [Symbol.asyncDispose]: async () => handle.close()};
		} catch (error) {
			if (isMissing(error)) {
				return undefined;
			}
			throw KeelsonError.from(error);
		}
	}

	/** Resolves when all bytes are in the file. */
	async written(): Promise<void> {
		this.#sendRest();
		await this.#tail;
	}

	async digest(): Promise<Digest> {
		await this.#flush();
		return this.#digest(algorithmOf(this.#status.expected));
	}

	async truncate(size: number): Promise<void> {
		await this.#flush();
		if (size < 0 || size > this.#status.offset) {
			throw new KeelsonError('OUT_OF_RANGE', `cannot truncate ingest ${this.#status.ref} to ${size} bytes, it has ${this.#status.offset}`);
		}
		this.#growth.abandon();
		this.#growth = new Growth();
		await this.#parts.worker.ask({kind: 'truncate', ingest: this.#ingest, size, growth: this.#growth.shared});
		this.#status = {...this.#status, offset: size, updatedAt: new Date()};
	}

	async commit({size = 0, expected = this.#status.expected}: CommitOptions = {}): Promise<Digest> {
		await this.#flush();
		const {ref, offset, total} = this.#status;
		const wanted = size === 0 ? total : size;
		if (wanted !== 0 && wanted !== offset) {
			throw new KeelsonError('FAILED_PRECONDITION', `unexpected commit size ${offset} of ingest ${ref}, expected ${wanted}`);
		}
		const digest = await this.#digest(algorithmOf(expected));
		if (expected !== undefined && digest !== expected) {
			throw new KeelsonError('FAILED_PRECONDITION', `unexpected commit digest ${digest}, expected ${expected}`);
		}
		this.#growth.finish();
		const {blobs, ingests} = this.#parts;
		const isThere = await blobs.find(digest) !== undefined;
		if (!isThere) {
			await seal(ingests.dataOf(ref));
		}
		const isNew = !isThere && await blobs.adopt(ingests.dataOf(ref), digest);
		await this.#close();
		await ingests.remove(ref);
		if (!isNew) {
			throw new KeelsonError('ALREADY_EXISTS', `content ${digest}: already exists`);
		}
		return digest;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#close();
		this.#parts.release();
	}

	#check(): void {
		if (this.#isClosed) {
			throw new KeelsonError('FAILED_PRECONDITION', `writer of ingest ${this.#status.ref} is closed`);
		}
		if (this.#failure !== undefined) {
			throw this.#failure;
		}
	}

	#sendRest(): void {
		clearTimeout(this.#linger);
		this.#linger = undefined;
		this.#buffers.flush();
	}

	#send({buffer, byteOffset, length}: Uint8Array<SharedArrayBuffer>, written?: () => void): void {
		this.#inFlight += length;
		this.#tail = this.#parts.worker.ask({kind: 'write', ingest: this.#ingest, memory: buffer, start: byteOffset, length}).then(written, (error: unknown) => {
			this.#failure ??= KeelsonError.from(error);
		}).finally(() => {
			this.#inFlight -= length;
		});
	}

	async #flush(): Promise<void> {
		await this.written();
		this.#check();
	}

	async #digest(algorithm: string): Promise<Digest> {
		return parseDigest((await this.#parts.worker.ask({kind: 'digest', ingest: this.#ingest, algorithm})).digest);
	}

	async #close(): Promise<void> {
		if (this.#isClosed) {
			return;
		}
		this.#isClosed = true;
		await this.written();
		this.#growth.abandon();
		if (this.#isOpen) {
			await this.#parts.worker.ask({kind: 'close', ingest: this.#ingest}).catch(() => undefined);
		}
	}
}

function isShared(chunk: Uint8Array): chunk is Uint8Array<SharedArrayBuffer> {
	return chunk.buffer instanceof SharedArrayBuffer;
}

function algorithmOf(expected: Digest | undefined): string {
	return expected === undefined ? 'sha256' : digestAlgorithm(expected);
}

/** The bytes are durable, and read-only, before they get their name. */
async function seal(file: string): Promise<void> {
	const handle = await open(file, 'r+');
	try {
		await handle.chmod(0o444);
		await handle.sync();
	} finally {
		await handle.close();
	}
}
