import {createHash, type Hash} from 'node:crypto';
import {closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync} from 'node:fs';
import {Growth} from '../../contracts/content/growth.ts';

export type IngestRequest =
	| {readonly id: number; readonly kind: 'open'; readonly ingest: number; readonly file: string; readonly algorithm: string; readonly growth: SharedArrayBuffer}
	// Whoever sends it leaves the memory as it is until the reply.
	| {readonly id: number; readonly kind: 'write'; readonly ingest: number; readonly memory: SharedArrayBuffer; readonly start: number; readonly length: number}
	| {readonly id: number; readonly kind: 'truncate'; readonly ingest: number; readonly size: number; readonly growth: SharedArrayBuffer}
	| {readonly id: number; readonly kind: 'digest'; readonly ingest: number; readonly algorithm: string}
	| {readonly id: number; readonly kind: 'close'; readonly ingest: number};

export type IngestReply =
	| {readonly id: number; readonly size: number; readonly digest: string}
	| {readonly id: number; readonly message: string; readonly code: string};

interface Open {
	readonly fd: number;
	readonly algorithm: string;
	growth: Growth;
	hash: Hash;
	size: number;
}

const CHUNK_BYTES = 1024 * 1024;

/** The ingests that a thread has open: it hashes and writes them with synchronous calls. */
export class OpenIngests {
	readonly #opened = new Map<number, Open>();

	/** Whatever the system says becomes the reply. */
	reply(request: IngestRequest): IngestReply {
		try {
			return {id: request.id, ...this.#answer(request)};
		} catch (error) {
			const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
			return {id: request.id, message: error instanceof Error ? error.message : String(error), code};
		}
	}

	#answer(request: IngestRequest): {size: number; digest: string} {
		if (request.kind === 'open') {
			const fd = openSync(request.file, 'r+');
			const size = fstatSync(fd).size;
			const growth = new Growth(request.growth);
			this.#opened.set(request.ingest, {fd, size, growth, algorithm: request.algorithm, hash: hashOf(fd, size, request.algorithm)});
			growth.reach(size);
			return {size, digest: ''};
		}
		const ingest = this.#opened.get(request.ingest);
		if (ingest === undefined) {
			throw new Error(`ingest ${request.ingest} is not open`);
		}
		switch (request.kind) {
			case 'write': {
				write(ingest, new Uint8Array(request.memory, request.start, request.length));
				return {size: ingest.size, digest: ''};
			}
			case 'truncate': {
				ftruncateSync(ingest.fd, request.size);
				ingest.size = request.size;
				ingest.growth = new Growth(request.growth);
				ingest.growth.reach(request.size);
				ingest.hash = hashOf(ingest.fd, request.size, ingest.algorithm);
				return {size: ingest.size, digest: ''};
			}
			case 'digest': {
				const hash = request.algorithm === ingest.algorithm ? ingest.hash.copy() : hashOf(ingest.fd, ingest.size, request.algorithm);
				return {size: ingest.size, digest: `${request.algorithm}:${hash.digest('hex')}`};
			}
			case 'close': {
				this.#opened.delete(request.ingest);
				closeSync(ingest.fd);
				return {size: ingest.size, digest: ''};
			}
		}
	}
}

function write(ingest: Open, chunk: Uint8Array): void {
	let done = 0;
	while (done < chunk.length) {
		done += writeSync(ingest.fd, chunk, done, chunk.length - done, ingest.size + done);
	}
	ingest.size += chunk.length;
	ingest.growth.reach(ingest.size);
	ingest.hash.update(chunk);
}

/** Of the first `size` bytes: what an earlier writer left has to be read again. */
function hashOf(fd: number, size: number, algorithm: string): Hash {
	const hash = createHash(algorithm);
	const buffer = Buffer.allocUnsafe(Math.min(size, CHUNK_BYTES));
	for (let offset = 0; offset < size;) {
		const length = readSync(fd, buffer, 0, Math.min(buffer.length, size - offset), offset);
		if (length === 0) {
			throw new Error(`ingest ended at ${offset}, expected ${size} bytes`);
		}
		hash.update(buffer.subarray(0, length));
		offset += length;
	}
	return hash;
}
