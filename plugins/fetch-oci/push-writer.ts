import {once} from 'node:events';
import {PassThrough} from 'node:stream';
import type {PushWriter} from '../../contracts/fetch/fetch.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {KeelsonError, isKeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import type {BlobUpload} from './blob-upload.ts';

const MANIFEST_BYTES_MAX = 8 * 1024 * 1024;
/** Kept in memory until the registry has it, so that it can be sent again. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** What registries answer to a chunk that want a blob in one piece. */
const NO_CHUNKS: readonly ErrorCode[] = ['INVALID_ARGUMENT', 'NOT_FOUND', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'UNKNOWN'];

/** Bytes that come in pieces, and go as one. */
class Gathered {
	size = 0;
	#pieces: Uint8Array[] = [];

	add(piece: Uint8Array): void {
		this.#pieces.push(piece);
		this.size += piece.length;
	}

	take(): Uint8Array {
		const [only] = this.#pieces;
		const bytes = this.#pieces.length === 1 && only !== undefined ? only : Buffer.concat(this.#pieces);
		this.#pieces = [];
		this.size = 0;
		return bytes;
	}
}

/** A manifest is small: it is kept whole, and sent at commit. */
export class ManifestWriter implements PushWriter {
	readonly #descriptor: Descriptor;
	readonly #send: (body: Uint8Array) => Promise<void>;
	readonly #bytes = new Gathered();

	constructor(descriptor: Descriptor, send: (body: Uint8Array) => Promise<void>) {
		this.#descriptor = descriptor;
		this.#send = send;
	}

	async write(chunk: Uint8Array): Promise<void> {
		if (this.#bytes.size + chunk.length > MANIFEST_BYTES_MAX) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `manifest ${this.#descriptor.digest} has more than ${MANIFEST_BYTES_MAX} bytes`);
		}
		this.#bytes.add(chunk);
	}

	async commit(): Promise<void> {
		await this.#send(this.#bytes.take());
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#bytes.take();
	}
}

/** A small blob goes in one request, a larger one in chunks, each of which the registry has before the next is taken. */
export class BlobWriter implements PushWriter {
	readonly #descriptor: Descriptor;
	readonly #upload: BlobUpload;
	readonly #noChunks: () => void;
	readonly #bytes = new Gathered();
	#sent = 0;

	/** `noChunks` is told when the registry takes the first chunk and no other. */
	constructor(descriptor: Descriptor, upload: BlobUpload, noChunks: () => void) {
		this.#descriptor = descriptor;
		this.#upload = upload;
		this.#noChunks = noChunks;
	}

	async write(chunk: Uint8Array): Promise<void> {
		const {size, digest} = this.#descriptor;
		this.#bytes.add(chunk);
		const given = this.#sent + this.#bytes.size;
		if (given > size) {
			throw new KeelsonError('INVALID_ARGUMENT', `blob ${digest} was given ${given} bytes, expected ${size}`);
		}
		// What is left over goes with the last request.
		if (given < size && this.#bytes.size >= Math.max(CHUNK_BYTES, this.#upload.chunkBytesMin)) {
			await this.#append();
		}
	}

	async commit(): Promise<void> {
		const {size, digest} = this.#descriptor;
		if (this.#sent + this.#bytes.size !== size) {
			throw new KeelsonError('INVALID_ARGUMENT', `blob ${digest} was given ${this.#sent + this.#bytes.size} bytes, expected ${size}`);
		}
		if (this.#sent > 0 && this.#bytes.size > 0) {
			await this.#append();
		}
		await this.#upload.finish(digest, this.#bytes.take(), this.#sent > 0 ? 0 : size);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		// An upload that is not finished is the registry's to forget.
		this.#bytes.take();
	}

	async #append(): Promise<void> {
		const bytes = this.#bytes.take();
		try {
			await this.#upload.append(this.#sent, bytes);
		} catch (error) {
			if (!NO_CHUNKS.some(code => isKeelsonError(error, code))) {
				throw error;
			}
			this.#noChunks();
			throw new KeelsonError('UNAVAILABLE', `${this.#descriptor.digest} cannot be pushed in chunks`, {cause: error});
		}
		this.#sent += bytes.length;
	}
}

/** A blob goes out in one request as it is written, no faster than the registry takes it. */
export class StreamWriter implements PushWriter {
	readonly #descriptor: Descriptor;
	readonly #body = new PassThrough({highWaterMark: 1024 * 1024});
	readonly #sent: Promise<void>;
	#failure: unknown;
	#hasAnswer = false;
	#size = 0;

	constructor(descriptor: Descriptor, upload: BlobUpload) {
		this.#descriptor = descriptor;
		this.#body.on('error', () => undefined);
		this.#sent = upload.finish(descriptor.digest, this.#body, descriptor.size).then(() => {
			// A registry may answer before it has read all; nobody takes the rest.
			this.#hasAnswer = true;
		}, (error: unknown) => {
			this.#failure = error;
			this.#body.destroy();
			throw error;
		});
		this.#sent.catch(() => undefined);
	}

	async write(chunk: Uint8Array): Promise<void> {
		if (this.#failure !== undefined) {
			throw KeelsonError.from(this.#failure);
		}
		this.#size += chunk.length;
		if (!this.#hasAnswer && !this.#body.write(chunk)) {
			await Promise.race([once(this.#body, 'drain'), this.#sent]);
		}
	}

	async commit(): Promise<void> {
		if (this.#size !== this.#descriptor.size) {
			this.#body.destroy(new Error('cut short'));
			throw new KeelsonError('INVALID_ARGUMENT', `blob ${this.#descriptor.digest} was given ${this.#size} bytes, expected ${this.#descriptor.size}`);
		}
		this.#body.end();
		await this.#sent;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (!this.#body.writableEnded) {
			this.#body.destroy(new Error('let go'));
		}
		await this.#sent.catch(() => undefined);
	}
}
