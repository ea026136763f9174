import {open, type FileHandle} from 'node:fs/promises';
import type {ContentReader, ReadRange} from '../../contracts/content/content.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {isMissing} from './blob-directory.ts';

const CHUNK_BYTES = 1024 * 1024;

/** A blob's file, held open: its bytes stay readable when its name goes. */
export class LocalContentReader implements ContentReader {
	readonly digest: Digest;
	readonly size: number;
	readonly file: string;
	readonly #handle: FileHandle;

	private constructor({digest, size, file, handle}: {digest: Digest; size: number; file: string; handle: FileHandle}) {
		this.digest = digest;
		this.size = size;
		this.file = file;
		this.#handle = handle;
	}

	/** Rejects with NOT_FOUND. */
	static async open(file: string, digest: Digest): Promise<LocalContentReader> {
		try {
			const handle = await open(file, 'r');
			return new LocalContentReader({digest, file, handle, size: (await handle.stat()).size});
		} catch (error) {
			throw isMissing(error) ? new KeelsonError('NOT_FOUND', `content digest ${digest}: not found`, {cause: error}) : KeelsonError.from(error);
		}
	}

	async *read({offset = 0, size, signal}: ReadRange = {}): AsyncIterable<Uint8Array> {
		if (offset < 0 || offset > this.size) {
			throw new KeelsonError('OUT_OF_RANGE', `offset ${offset} lies beyond content ${this.digest} of ${this.size} bytes`);
		}
		const end = size === undefined ? this.size : Math.min(this.size, offset + size);
		for (let position = offset; position < end;) {
			if (signal?.aborted === true) {
				throw KeelsonError.from(signal.reason, 'CANCELLED');
			}
			// A fresh buffer each time: whoever gets a chunk may keep it.
			const {bytesRead, buffer} = await this.#handle.read(Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - position)), 0, undefined, position);
			if (bytesRead === 0) {
				throw new KeelsonError('DATA_LOSS', `content ${this.digest} ends at ${position}, expected ${this.size} bytes`);
			}
			position += bytesRead;
			yield buffer.subarray(0, bytesRead);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#handle.close();
	}
}
