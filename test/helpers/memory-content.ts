import {createHash} from 'node:crypto';
import type {CommitOptions, ContentInfo, ContentReader, ContentStore, ContentWriter, IngestStatus, ReadRange, WriterOptions} from '../../contracts/content/content.ts';
import {digestAlgorithm, type Digest} from '../../contracts/oci/digest.ts';
import {checkLabels, updatedLabels, type Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';

interface Ingest {
	status: IngestStatus;
	bytes: Buffer;
	isLocked: boolean;
}

interface Blob {
	readonly bytes: Buffer;
	info: ContentInfo;
}

/** The contract in memory: its shortest reading, labels included. */
export class MemoryContentStore implements ContentStore, AsyncDisposable {
	readonly #blobs = new Map<Digest, Blob>();
	readonly #ingests = new Map<string, Ingest>();

	async info(digest: Digest): Promise<ContentInfo> {
		return this.#find(digest).info;
	}

	async update(digest: Digest, labels: Labels, fields: readonly string[]): Promise<ContentInfo> {
		const blob = this.#find(digest);
		const next = updatedLabels(blob.info.labels, labels, fields);
		checkLabels(next);
		blob.info = {...blob.info, labels: next, updatedAt: new Date()};
		return blob.info;
	}

	async *list(filters: readonly string[] = [], signal?: AbortSignal): AsyncIterable<ContentInfo> {
		const matches = compileFilters(filters);
		for (const digest of [...this.#blobs.keys()].toSorted()) {
			signal?.throwIfAborted();
			const {info} = this.#find(digest);
			if (matches(([name, ...rest]) => name === 'labels' ? info.labels[rest.join('.')] : name === 'digest' ? info.digest : name === 'size' ? String(info.size) : undefined)) {
				yield info;
			}
		}
	}

	async delete(digest: Digest): Promise<void> {
		this.#find(digest);
		this.#blobs.delete(digest);
	}

	async open(digest: Digest): Promise<ContentReader> {
		const {bytes} = this.#find(digest);
		return {
			digest,
			size: bytes.length,
			async *read({offset = 0, size = bytes.length}: ReadRange = {}) {
				if (offset > bytes.length) {
					throw new KeelsonError('OUT_OF_RANGE', `offset ${offset} lies beyond content ${digest} of ${bytes.length} bytes`);
				}
				const range = bytes.subarray(offset, offset + size);
				if (range.length > 0) {
					yield range;
				}
			},
			async [Symbol.asyncDispose]() {},
		};
	}

	async writer({ref, expected, total = 0}: WriterOptions): Promise<ContentWriter> {
		if (ref === '') {
			throw new KeelsonError('INVALID_ARGUMENT', 'a ref must not be empty');
		}
		if (expected !== undefined && this.#blobs.has(expected)) {
			throw new KeelsonError('ALREADY_EXISTS', `content ${expected}: already exists`);
		}
		const now = new Date();
		const ingest = this.#ingests.get(ref) ?? {bytes: Buffer.alloc(0), isLocked: false, status: {ref, offset: 0, total, startedAt: now, updatedAt: now}};
		if (ingest.isLocked) {
			throw new KeelsonError('UNAVAILABLE', `ref ${ref} locked: unavailable`);
		}
		if (total !== 0 && ingest.status.total !== 0 && ingest.status.total !== total) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${ref} was begun with total ${ingest.status.total}, now ${total}`);
		}
		ingest.isLocked = true;
		ingest.status = {...ingest.status, ...(expected === undefined ? {} : {expected})};
		this.#ingests.set(ref, ingest);
		return this.#writerOf(ingest);
	}

	async status(ref: string): Promise<IngestStatus> {
		return this.#ingest(ref).status;
	}

	async statuses(filters: readonly string[] = []): Promise<readonly IngestStatus[]> {
		const matches = compileFilters(filters);
		return [...this.#ingests.values()].map(({status}) => status).filter(({ref}) => matches(([name]) => name === 'ref' ? ref : undefined));
	}

	async abort(ref: string): Promise<void> {
		if (this.#ingest(ref).isLocked) {
			throw new KeelsonError('UNAVAILABLE', `ref ${ref} locked: unavailable`);
		}
		this.#ingests.delete(ref);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#blobs.clear();
		this.#ingests.clear();
	}

	#writerOf(ingest: Ingest): ContentWriter {
		const set = (bytes: Buffer): void => {
			ingest.bytes = bytes;
			ingest.status = {...ingest.status, offset: bytes.length, updatedAt: new Date()};
		};
		return {
			status: () => ingest.status,
			write: async chunk => {
				set(Buffer.concat([ingest.bytes, chunk]));
			},
			digest: async () => digestOf({bytes: ingest.bytes, expected: ingest.status.expected}),
			truncate: async size => {
				if (size > ingest.bytes.length) {
					throw new KeelsonError('OUT_OF_RANGE', `cannot truncate to ${size} bytes, there are ${ingest.bytes.length}`);
				}
				set(ingest.bytes.subarray(0, size));
			},
			commit: async options => this.#commit(ingest, options),
			[Symbol.asyncDispose]: async () => {
				ingest.isLocked = false;
			},
		};
	}

	#commit({bytes, status}: Ingest, {size = status.total, expected = status.expected, labels = {}}: CommitOptions = {}): Digest {
		if (size !== 0 && size !== bytes.length) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${status.ref} has ${bytes.length} bytes, expected ${size}`);
		}
		const digest = digestOf({bytes, expected});
		if (expected !== undefined && expected !== digest) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${status.ref} has digest ${digest}, expected ${expected}`);
		}
		this.#ingests.delete(status.ref);
		if (this.#blobs.has(digest)) {
			throw new KeelsonError('ALREADY_EXISTS', `content ${digest}: already exists`);
		}
		const now = new Date();
		this.#blobs.set(digest, {bytes, info: {digest, size: bytes.length, createdAt: now, updatedAt: now, labels}});
		return digest;
	}

	#find(digest: Digest): Blob {
		const blob = this.#blobs.get(digest);
		if (blob === undefined) {
			throw new KeelsonError('NOT_FOUND', `content ${digest}: not found`);
		}
		return blob;
	}

	#ingest(ref: string): Ingest {
		const ingest = this.#ingests.get(ref);
		if (ingest === undefined) {
			throw new KeelsonError('NOT_FOUND', `ingest ${ref}: not found`);
		}
		return ingest;
	}
}

function digestOf({bytes, expected}: {readonly bytes: Uint8Array; readonly expected: Digest | undefined}): Digest {
	const algorithm = expected === undefined ? 'sha256' : digestAlgorithm(expected);
	return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
