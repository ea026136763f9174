import type {Digest} from '../../contracts/oci/digest.ts';
import type {ContentReader, ReadRange} from '../../contracts/content/content.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** Manifests, configurations and indexes are smaller; a layer that is as small costs as little. */
const blobBytesMax = 32 * 1024;
const bytesMax = 2 * 1024 * 1024;

/**
 * The small blobs that were read last, in memory: a client reads an image's manifest and configuration a dozen times to start one container, and four
 * calls of the thread pool for each are most of what that costs. Their bytes were verified by their digest, and cannot become others.
 */
export class SmallBlobs {
	/** Read longest ago first. */
	readonly #blobs = new Map<Digest, Kept>();
	#bytes = 0;
	#deletions = 0;

	/** Undefined when it is not kept. */
	get(digest: Digest): ContentReader | undefined {
		const kept = this.#blobs.get(digest);
		if (kept === undefined) {
			return undefined;
		}
		this.#blobs.delete(digest);
		this.#blobs.set(digest, kept);
		return new KeptReader(kept);
	}

	/** Reads a blob to its end, if it is small, and keeps it; else resolves with the reader itself. Rejects as reading does, the reader closed. */
	async keep(reader: ContentReader): Promise<ContentReader> {
		if (reader.size > blobBytesMax) {
			return reader;
		}
		await using _ = reader;
		const deletions = this.#deletions;
		const {digest, file} = reader;
		const kept = {digest, bytes: Buffer.concat(await Array.fromAsync(reader.read())), ...(file === undefined ? {} : {file})};
		// What is deleted while it is read must not come back.
		if (deletions === this.#deletions) {
			this.#add(kept);
		}
		return new KeptReader(kept);
	}

	/** To be called when a blob is deleted: afterwards nobody is to find it here. */
	forget(digest: Digest): void {
		this.#deletions++;
		this.#drop(digest);
	}

	#drop(digest: Digest): void {
		this.#bytes -= this.#blobs.get(digest)?.bytes.byteLength ?? 0;
		this.#blobs.delete(digest);
	}

	#add(kept: Kept): void {
		this.#drop(kept.digest);
		this.#blobs.set(kept.digest, kept);
		this.#bytes += kept.bytes.byteLength;
		for (const oldest of this.#blobs.keys()) {
			if (this.#bytes <= bytesMax) {
				break;
			}
			this.#drop(oldest);
		}
	}
}

interface Kept {
	readonly digest: Digest;
	readonly bytes: Buffer;
	readonly file?: string;
}

class KeptReader implements ContentReader {
	readonly digest: Digest;
	readonly file?: string;
	readonly #bytes: Buffer;

	constructor({digest, bytes, file}: Kept) {
		this.digest = digest;
		this.#bytes = bytes;
		if (file !== undefined) {
			this.file = file;
		}
	}

	get size(): number {
		return this.#bytes.byteLength;
	}

	async *read({offset = 0, size = this.size, signal}: ReadRange = {}): AsyncIterable<Uint8Array> {
		if (offset < 0 || offset > this.size) {
			throw new KeelsonError('OUT_OF_RANGE', `offset ${offset} lies beyond content ${this.digest} of ${this.size} bytes`);
		}
		if (signal?.aborted === true) {
			throw KeelsonError.from(signal.reason, 'CANCELLED');
		}
		if (offset < Math.min(this.size, offset + size)) {
			// A copy: whoever gets a chunk may keep it, and write to it.
			yield Buffer.from(this.#bytes.subarray(offset, offset + size));
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		// Nothing is open.
	}
}
