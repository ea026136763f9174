import type {CommitOptions, ContentWriter, GrowingFile, IngestStatus, WriterOptions} from '../../../contracts/content/content.ts';
import {isDigest, type Digest} from '../../../contracts/oci/digest.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {nodeOf} from '../collect/node.ts';
import {encodeLabels} from '../labels.ts';
import type {Owner} from '../ledger.ts';
import type {ContentDepot} from './content-depot.ts';
import {findContent, findIngest, sharedStatus, type IngestRow} from './content-rows.ts';

/** An ingest that no lease holds, and nobody touches for so long, may be collected. */
const INGEST_LIFETIME_MS = 24 * 60 * 60 * 1000;
const BACKEND_REF_CHARACTERS_MAX = 1000;

/** Takes the lock of a ref, and opens its ingest in the namespace. Rejects as the contract's `writer` does. */
export async function openScopedWriter(depot: ContentDepot, owner: Owner, options: WriterOptions): Promise<ContentWriter> {
	using held = new DisposableStack();
	const {ref, expected, total = 0, signal} = options;
	const lock = held.use(depot.lock(owner.namespace, ref));
	// An ingest may expire while its writer lives.
	const pin = held.use(depot.ledger.barrier.pin(nodeOf('ingest', owner.namespace, ref)));
	using _blob = expected === undefined ? undefined : await depot.guard.hold(expected);

	const row = await beginIngest(depot, owner, options);
	const bare = row.backend === null ? undefined : await depot.bareWriter({
		ref: row.backend, total,
		...(expected === undefined ? {} : {expected}),
		...(signal === undefined ? {} : {signal}),
	});
	held.move();
	return new ScopedWriter({depot, owner, row, total, bare, holds: [pin, lock]});
}

async function beginIngest(depot: ContentDepot, owner: Owner, {ref, expected, total = 0}: WriterOptions): Promise<IngestRow> {
	const {ledger} = depot;
	const {namespace} = owner;
	const earlier = findIngest(ledger.database, namespace, ref);
	if (expected !== undefined && earlier !== undefined && earlier.expected !== null && earlier.expected !== expected) {
		throw new KeelsonError('FAILED_PRECONDITION', `ingest ${JSON.stringify(ref)} was begun for ${earlier.expected}, now ${expected}`);
	}
	const wanted = earlier?.shared ?? (earlier === undefined ? expected : undefined);
	const blob = wanted === undefined ? undefined : await depot.shareable(wanted);
	const isShared = blob !== undefined && (total === 0 || total === blob.size);
	const backend = isShared ? null : earlier?.backend ?? bareRef(ledger.sequence.next(), namespace, ref);

	return ledger.change(change => {
		change.useNamespace(namespace);
		change.lease(owner, 'ingests', ref);
		// What a lease holds goes with it; what nobody holds has its time.
		const expiresAt = owner.lease === undefined ? change.now + INGEST_LIFETIME_MS : change.now;
		change.database.run(
			`INSERT INTO ingest (namespace, ref, backend, shared, expected, size, started_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (namespace, ref) DO UPDATE SET backend = excluded.backend, shared = excluded.shared,
					expected = coalesce(excluded.expected, expected), size = excluded.size, expires_at = max(expires_at, excluded.expires_at)`,
			namespace, ref, backend, isShared ? blob.digest : null, expected ?? null, isShared ? blob.size : 0, change.now, expiresAt,
		);
		change.touch(nodeOf('ingest', namespace, ref));
		const row = findIngest(change.database, namespace, ref);
		if (row === undefined) {
			throw new KeelsonError('INTERNAL', `ingest ${JSON.stringify(ref)} was written and is not there`);
		}
		return row;
	});
}

// The number makes it unique; the rest is for whoever looks into the bare store.
function bareRef(number: number, namespace: string, ref: string): string {
	return `${namespace}/${number}/${ref}`.slice(0, BACKEND_REF_CHARACTERS_MAX);
}

interface Parts {
	readonly depot: ContentDepot;
	readonly owner: Owner;
	readonly row: IngestRow;
	readonly total: number;
	readonly bare: ContentWriter | undefined;
	/** Let go of when the writer is disposed. */
	readonly holds: readonly Disposable[];
}

/** Writes through to the bare store; or, while the blob is shared, only promises it. */
class ScopedWriter implements ContentWriter {
	readonly #parts: Parts;
	#bare: ContentWriter | undefined;
	#isDone = false;

	constructor(parts: Parts) {
		this.#parts = parts;
		this.#bare = parts.bare;
	}

	status(): IngestStatus {
		const {row} = this.#parts;
		if (this.#bare === undefined) {
			return sharedStatus(row);
		}
		return {...this.#bare.status(), ref: row.ref, ...(row.expected === null ? {} : {expected: row.expected})};
	}

	async write(chunk: Uint8Array): Promise<void> {
		if (chunk.length === 0) {
			return;
		}
		const bare = this.#bare ?? await this.#unshare(true);
		await bare.write(chunk);
	}

	async digest(): Promise<Digest | undefined> {
		return this.#bare === undefined ? this.#parts.row.shared ?? undefined : this.#bare.digest();
	}

	async truncate(size: number): Promise<void> {
		const {row} = this.#parts;
		if (this.#bare === undefined && size === row.size) {
			return;
		}
		if (this.#bare === undefined && size > row.size) {
			throw new KeelsonError('OUT_OF_RANGE', `cannot truncate ingest ${JSON.stringify(row.ref)} to ${size} bytes, it has ${row.size}`);
		}
		const bare = this.#bare ?? await this.#unshare(size > 0);
		await bare.truncate(size);
	}

	/** A promise of a shared blob has nothing to follow: the blob is there. */
	async follow(): Promise<GrowingFile | undefined> {
		return this.#bare?.follow?.();
	}

	async commit(options: CommitOptions = {}): Promise<Digest> {
		const {depot, row} = this.#parts;
		const labels = encodeLabels(options.labels ?? {});
		const expected = options.expected ?? row.expected ?? undefined;
		if (this.#isDone) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${JSON.stringify(row.ref)} is committed already`);
		}
		using _blob = await depot.guard.hold(this.#bare === undefined ? row.shared ?? undefined : expected);
		const done = this.#bare === undefined ? this.#checkShared(options) : await this.#commitBare(this.#bare, options, expected);
		this.#isDone = true;
		// Should its row not come to be, nobody else would look for it.
		depot.suspect(done.digest);
		this.#record(done.digest, done.size, labels);
		return done.digest;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.#bare?.[Symbol.asyncDispose]();
		} finally {
			for (const hold of this.#parts.holds) {
				hold[Symbol.dispose]();
			}
		}
	}

	#checkShared({size = 0, expected}: CommitOptions): {digest: Digest; size: number} {
		const {row: {ref, shared, size: bytes}} = this.#parts;
		if (size !== 0 && size !== bytes) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${JSON.stringify(ref)} has ${bytes} bytes, expected ${size}`);
		}
		if (shared === null || (expected !== undefined && expected !== shared)) {
			throw new KeelsonError('FAILED_PRECONDITION', `ingest ${JSON.stringify(ref)} has digest ${shared ?? 'unknown'}, expected ${expected ?? 'another'}`);
		}
		return {digest: shared, size: bytes};
	}

	// Somebody else may have brought the same bytes to the bare store: then ours are thrown away, and the blob is still ours to have.
	async #commitBare(bare: ContentWriter, {size}: CommitOptions, expected: Digest | undefined): Promise<{digest: Digest; size: number}> {
		const {offset} = bare.status();
		try {
			const digest = await bare.commit({...(size === undefined ? {} : {size}), ...(expected === undefined ? {} : {expected})});
			return {digest, size: offset};
		} catch (error) {
			const digest = isKeelsonError(error, 'ALREADY_EXISTS') ? expected ?? namedDigest(error.message) : undefined;
			if (digest === undefined) {
				throw error;
			}
			return {digest, size: offset};
		}
	}

	#record(digest: Digest, size: number, labels: string): void {
		const {depot: {ledger}, owner, row: {ref}} = this.#parts;
		const {namespace} = owner;
		const isNew = ledger.change(change => {
			const wasThere = findContent(change.database, namespace, digest) !== undefined;
			change.useNamespace(namespace);
			change.database.run('DELETE FROM ingest WHERE namespace = ? AND ref = ?', namespace, ref);
			change.unlease(owner, 'ingests', ref);
			change.lease(owner, 'content', digest);
			change.touch(nodeOf('content', namespace, digest));
			if (!wasThere) {
				change.database.run(
					'INSERT INTO content (namespace, digest, labels, size, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)',
					namespace, digest, labels, size, change.now, change.now,
				);
				change.event(namespace, '/content/create', 'containerd.events.ContentCreate', {digest, size: BigInt(size)});
			}
			return !wasThere;
		});
		if (!isNew) {
			throw new KeelsonError('ALREADY_EXISTS', `content ${digest}: already exists`);
		}
	}

	// The client sends other bytes, or starts over: the promise becomes an ingest, with the promised bytes in it when they count.
	async #unshare(withBytes: boolean): Promise<ContentWriter> {
		const {depot: {ledger, bare, guard}, owner: {namespace}, row, total} = this.#parts;
		const ref = bareRef(ledger.sequence.next(), namespace, row.ref);
		using _blob = await guard.hold(row.shared ?? undefined);
		ledger.change(change => {
			change.database.run('UPDATE ingest SET backend = ?, shared = NULL, size = 0 WHERE namespace = ? AND ref = ?', ref, namespace, row.ref);
		});
		const writer = await bare.writer({ref, total});
		this.#bare = writer;
		if (withBytes && row.shared !== null) {
			await using reader = await bare.open(row.shared);
			for await (const chunk of reader.read()) {
				await writer.write(chunk);
			}
		}
		return writer;
	}
}

// Who commits without naming a digest learns from the message alone which blob was there; containerd and its proxies word it so too.
function namedDigest(message: string): Digest | undefined {
	const digest = /\bsha\d+:[0-9a-f]+/.exec(message)?.[0] ?? '';
	return isDigest(digest) ? digest : undefined;
}
