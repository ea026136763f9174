import type {ContentInfo, ContentReader, ContentWriter, IngestStatus, WriterOptions} from '../../../contracts/content/content.ts';
import type {ScopedContent} from '../../../contracts/metadata/metadata.ts';
import type {Digest} from '../../../contracts/oci/digest.ts';
import type {Labels} from '../../../contracts/oci/labels.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {compileFilters} from '../../../lib/filters/filters.ts';
import {nodeOf} from '../collect/node.ts';
import {decodeLabels, encodeLabels, updatedLabels} from '../labels.ts';
import type {Owner} from '../ledger.ts';
import type {ContentDepot} from './content-depot.ts';
import {contentField, contentInfo, findContent, findIngest, sharedStatus, type ContentRow, type IngestRow} from './content-rows.ts';
import {openScopedWriter} from './scoped-writer.ts';

const PAGE = 500;
const REF_BYTES_MAX = 4096;

/** One namespace's view of the bare content store: its blobs are those that have a row, and its labels live in the row. */
export class ScopedContentStore implements ScopedContent {
	readonly #depot: ContentDepot;
	readonly #owner: Owner;

	constructor(depot: ContentDepot, owner: Owner) {
		this.#depot = depot;
		this.#owner = owner;
	}

	async info(digest: Digest): Promise<ContentInfo> {
		return contentInfo(this.#row(digest));
	}

	async update(digest: Digest, labels: Labels, fields: readonly string[]): Promise<ContentInfo> {
		const {namespace} = this.#owner;
		return this.#depot.ledger.change(change => {
			const next = updatedLabels(decodeLabels(this.#row(digest).labels), labels, fields);
			change.database.run('UPDATE content SET labels = ?, updated_at = ? WHERE namespace = ? AND digest = ?', encodeLabels(next), change.now, namespace, digest);
			change.touch(nodeOf('content', namespace, digest));
			return contentInfo(this.#row(digest));
		});
	}

	async keep(digests: readonly Digest[]): Promise<ReadonlyMap<Digest, ContentInfo>> {
		const found = await Promise.all([...new Set(digests)].map(async digest => await this.#has(digest) ? [digest] : []));
		const here = found.flat();
		return here.length === 0 ? new Map() : this.#depot.ledger.change(change => new Map(here.flatMap(digest => {
			// A collection may have taken it while the bare store was asked: then the bytes must come again.
			const row = this.#find(digest);
			if (row === undefined) {
				return [];
			}
			change.lease(this.#owner, 'content', digest);
			change.touch(nodeOf('content', this.#owner.namespace, digest));
			return [[digest, contentInfo(row)] as const];
		})));
	}

	async *list(filters: readonly string[] = [], signal?: AbortSignal): AsyncIterable<ContentInfo> {
		const matches = compileFilters(filters);
		let last = '';
		for (;;) {
			signal?.throwIfAborted();
			const rows = this.#depot.ledger.database.all<ContentRow>(
				'SELECT * FROM content WHERE namespace = ? AND digest > ? ORDER BY digest LIMIT ?', this.#owner.namespace, last, PAGE,
			);
			for (const info of rows.map(row => contentInfo(row))) {
				if (matches(path => contentField(info, path))) {
					yield info;
				}
			}
			const end = rows.at(-1);
			if (end === undefined || rows.length < PAGE) {
				return;
			}
			last = end.digest;
		}
	}

	async delete(digest: Digest): Promise<void> {
		const {namespace} = this.#owner;
		this.#depot.ledger.change(change => {
			this.#row(digest);
			change.database.run('DELETE FROM content WHERE namespace = ? AND digest = ?', namespace, digest);
			change.unlease(this.#owner, 'content', digest);
			change.event(namespace, '/content/delete', 'containerd.events.ContentDelete', {digest});
			change.loosen();
		});
		this.#depot.suspect(digest);
	}

	async open(digest: Digest): Promise<ContentReader> {
		this.#row(digest);
		return this.#depot.bare.open(digest);
	}

	async writer(options: WriterOptions): Promise<ContentWriter> {
		const {ref, expected, signal} = options;
		const bytes = Buffer.byteLength(ref);
		if (bytes === 0 || bytes > REF_BYTES_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `a ref must have 1 to ${REF_BYTES_MAX} bytes, this one has ${bytes}`);
		}
		signal?.throwIfAborted();
		if (expected !== undefined && (await this.keep([expected])).size > 0) {
			throw new KeelsonError('ALREADY_EXISTS', `content ${expected}: already exists`);
		}
		return openScopedWriter(this.#depot, this.#owner, options);
	}

	async status(ref: string): Promise<IngestStatus> {
		const status = await this.#statusOf(this.#ingest(ref));
		if (status === undefined) {
			throw ingestNotFound(ref);
		}
		return status;
	}

	async statuses(filters: readonly string[] = []): Promise<readonly IngestStatus[]> {
		const matches = compileFilters(filters);
		const rows = this.#depot.ledger.database.all<IngestRow>('SELECT * FROM ingest WHERE namespace = ? ORDER BY ref', this.#owner.namespace);
		const statuses = await Promise.all(rows.filter(({ref}) => matches(([field]) => field === 'ref' ? ref : undefined)).map(async row => this.#statusOf(row)));
		return statuses.filter(status => status !== undefined);
	}

	async abort(ref: string): Promise<void> {
		const {ledger, bare} = this.#depot;
		const {namespace} = this.#owner;
		const {backend} = this.#ingest(ref);
		using _lock = this.#depot.lock(namespace, ref);
		ledger.change(change => {
			change.database.run('DELETE FROM ingest WHERE namespace = ? AND ref = ?', namespace, ref);
			change.unlease(this.#owner, 'ingests', ref);
		});
		if (backend !== null) {
			try {
				await bare.abort(backend);
			} catch (error) {
				// Nothing was written to it yet.
				if (!isKeelsonError(error, 'NOT_FOUND')) {
					throw error;
				}
			}
		}
	}

	async #has(digest: Digest): Promise<boolean> {
		return this.#find(digest) !== undefined && await this.#depot.bareInfo(digest) !== undefined;
	}

	#find(digest: Digest): ContentRow | undefined {
		return findContent(this.#depot.ledger.database, this.#owner.namespace, digest);
	}

	async #statusOf(row: IngestRow): Promise<IngestStatus | undefined> {
		if (row.backend === null) {
			return sharedStatus(row);
		}
		try {
			return {...await this.#depot.bare.status(row.backend), ref: row.ref, ...(row.expected === null ? {} : {expected: row.expected})};
		} catch (error) {
			if (isKeelsonError(error, 'NOT_FOUND')) {
				return undefined;
			}
			throw error;
		}
	}

	#row(digest: Digest): ContentRow {
		const row = this.#find(digest);
		if (row === undefined) {
			throw new KeelsonError('NOT_FOUND', `content digest ${digest}: not found`);
		}
		return row;
	}

	#ingest(ref: string): IngestRow {
		const row = findIngest(this.#depot.ledger.database, this.#owner.namespace, ref);
		if (row === undefined) {
			throw ingestNotFound(ref);
		}
		return row;
	}
}

function ingestNotFound(ref: string): KeelsonError {
	return new KeelsonError('NOT_FOUND', `ingest ${JSON.stringify(ref)}: not found`);
}
