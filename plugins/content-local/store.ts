import type {ContentInfo, ContentReader, ContentStore, ContentWriter, IngestStatus, WriterOptions} from '../../contracts/content/content.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {compileFilters} from '../../lib/filters/filters.ts';
import type {BlobDirectory, BlobFile} from './blob-directory.ts';
import type {IngestDirectory} from './ingest-directory.ts';
import {IngestHere, type IngestWorker} from './ingest-worker-client.ts';
import {OpenBlobs} from './open-blobs.ts';
import {LocalContentReader} from './reader.ts';
import {SmallBlobs} from './small-blobs.ts';
import {LocalContentWriter} from './writer.ts';

interface Parts {
	readonly blobs: BlobDirectory;
	readonly ingests: IngestDirectory;
	readonly worker: IngestWorker;
}

const REF_BYTES_MAX = 4096;
/** So many that are announced are written here: a manifest does not wait for a thread. */
const HERE_BYTES_MAX = 64 * 1024;

/** Blobs in files. Keeps no labels: those belong to a namespace, and Metadata has them. */
export class LocalContentStore implements ContentStore, AsyncDisposable {
	readonly #parts: Parts;
	readonly #locked = new Map<string, Date>();
	readonly #writers = new Map<string, LocalContentWriter>();
	readonly #small = new SmallBlobs();
	readonly #here = new IngestHere();
	readonly #open = new OpenBlobs();

	constructor(parts: Parts) {
		this.#parts = parts;
	}

	/** Closes what is open for reading and in use by nobody. */
	async [Symbol.asyncDispose](): Promise<void> {
		await this.#open[Symbol.asyncDispose]();
	}

	async info(digest: Digest): Promise<ContentInfo> {
		return infoOf(await this.#find(digest));
	}

	async update(digest: Digest, _labels: Labels, _fields: readonly string[]): Promise<ContentInfo> {
		await this.#find(digest);
		throw new KeelsonError('UNIMPLEMENTED', 'the bare content store keeps no labels');
	}

	async *list(filters: readonly string[] = [], signal?: AbortSignal): AsyncIterable<ContentInfo> {
		const matches = compileFilters(filters);
		for await (const blob of this.#parts.blobs.list()) {
			signal?.throwIfAborted();
			if (matches(([name]) => name === 'digest' ? blob.digest : name === 'size' ? String(blob.size) : undefined)) {
				yield infoOf(blob);
			}
		}
	}

	async delete(digest: Digest): Promise<void> {
		const wasHere = await this.#parts.blobs.delete(digest);
		this.#small.forget(digest);
		await this.#open.forget(digest);
		if (!wasHere) {
			throw missing(digest);
		}
	}

	async open(digest: Digest): Promise<ContentReader> {
		const kept = this.#small.get(digest) ?? this.#open.get(digest);
		if (kept !== undefined) {
			return kept;
		}
		const {deletions} = this.#open;
		const reader = await LocalContentReader.open(this.#parts.blobs.pathOf(digest), digest);
		const small = await this.#small.keep(reader);
		return small === reader ? this.#open.keep(reader, deletions) : small;
	}

	async writer({ref, expected, total = 0, signal}: WriterOptions): Promise<ContentWriter> {
		if (ref === '' || Buffer.byteLength(ref) > REF_BYTES_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `a ref must have 1 to ${REF_BYTES_MAX} bytes, this one has ${Buffer.byteLength(ref)}`);
		}
		signal?.throwIfAborted();
		if (expected !== undefined && await this.#parts.blobs.find(expected) !== undefined) {
			throw new KeelsonError('ALREADY_EXISTS', `content ${expected}: already exists`);
		}
		const release = this.#lock(ref);
		try {
			const status = await this.#begin({ref, total, ...(expected === undefined ? {} : {expected})});
			// A manifest is followed by what it names.
			this.#parts.worker.expect();
			const writer = await LocalContentWriter.open({...this.#parts, worker: total > 0 && total <= HERE_BYTES_MAX ? this.#here : this.#parts.worker, status, release: () => {
				this.#writers.delete(ref);
				release();
			}});
			this.#writers.set(ref, writer);
			return writer;
		} catch (error) {
			release();
			throw error;
		}
	}

	async status(ref: string): Promise<IngestStatus> {
		await this.#writers.get(ref)?.written();
		const status = await this.#parts.ingests.status(ref);
		if (status === undefined) {
			throw new KeelsonError('NOT_FOUND', `ingest ${JSON.stringify(ref)}: not found`);
		}
		return status;
	}

	async statuses(filters: readonly string[] = []): Promise<readonly IngestStatus[]> {
		const matches = compileFilters(filters);
		const statuses = await this.#parts.ingests.list();
		return statuses.filter(({ref}) => matches(([name]) => name === 'ref' ? ref : undefined));
	}

	async abort(ref: string): Promise<void> {
		await this.status(ref);
		const release = this.#lock(ref);
		try {
			await this.#parts.ingests.remove(ref);
		} finally {
			release();
		}
	}

	async #begin({ref, total, expected}: {ref: string; total: number; expected?: Digest}): Promise<IngestStatus> {
		const earlier = await this.#parts.ingests.status(ref);
		if (earlier === undefined) {
			await this.#parts.ingests.remove(ref);
			await this.#parts.ingests.begin({ref, total, startedAt: new Date(), ...(expected === undefined ? {} : {expected})});
			return this.status(ref);
		}
		if (total !== 0 && earlier.total !== 0 && earlier.total !== total) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${JSON.stringify(ref)} was begun with total ${earlier.total}, now ${total}`);
		}
		if (expected !== undefined && earlier.expected !== undefined && earlier.expected !== expected) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${JSON.stringify(ref)} was begun for ${earlier.expected}, now ${expected}`);
		}
		return {...earlier, total: earlier.total === 0 ? total : earlier.total, ...(expected === undefined ? {} : {expected})};
	}

	#lock(ref: string): () => void {
		const since = this.#locked.get(ref);
		if (since !== undefined) {
			throw new KeelsonError('UNAVAILABLE', `ref ${ref} locked since ${since.toISOString()}: unavailable`);
		}
		const mine = new Date();
		this.#locked.set(ref, mine);
		return () => {
			if (this.#locked.get(ref) === mine) {
				this.#locked.delete(ref);
			}
		};
	}

	async #find(digest: Digest): Promise<BlobFile> {
		const blob = await this.#parts.blobs.find(digest);
		if (blob === undefined) {
			throw missing(digest);
		}
		return blob;
	}
}

function infoOf({digest, size, modifiedAt}: BlobFile): ContentInfo {
	return {digest, size, createdAt: modifiedAt, updatedAt: modifiedAt, labels: {}};
}

function missing(digest: Digest): KeelsonError {
	return new KeelsonError('NOT_FOUND', `content digest ${digest}: not found`);
}
