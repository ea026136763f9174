/**
 * Content: blobs by digest.
 *
 * A *blob* is immutable, named by the digest of its bytes, and either whole and visible or absent. It comes to be through an
 * *ingest*: bytes written under a *ref* that the client chooses, which outlives requests and restarts, and ends by commit or abort.
 *
 *     writer({ref}) ─► write… ─► commit(expected)        the blob is there
 *          │             └─ (connection lost) ─► writer({ref}) goes on at status().offset
 *          └─ abort(ref)                                  nothing is there
 *
 * Lifecycle of a ref: a writer holds its lock until it is disposed; another writer of the same ref is refused with UNAVAILABLE.
 */

import {contract} from '../../kernel/contract.ts';
import type {Digest} from '../oci/digest.ts';
import type {Labels} from '../oci/labels.ts';

export interface ContentInfo {
	readonly digest: Digest;
	/** Bytes. */
	readonly size: number;
	readonly createdAt: Date;
	readonly updatedAt: Date;
	readonly labels: Labels;
}

export interface IngestStatus {
	readonly ref: string;
	/** Bytes written so far. */
	readonly offset: number;
	/** Bytes announced, 0 when unknown. */
	readonly total: number;
	readonly expected?: Digest;
	readonly startedAt: Date;
	readonly updatedAt: Date;
}

export interface WriterOptions {
	/** Names the ingest; any text of 1 to 4096 bytes. */
	readonly ref: string;
	/** Refused at once with ALREADY_EXISTS when this blob is here. */
	readonly expected?: Digest;
	/** Bytes to come, where known; checked at commit. */
	readonly total?: number;
	/** Ends a wait for the ref's lock. */
	readonly signal?: AbortSignal;
}

export interface CommitOptions {
	/** Bytes the blob must have; rejects with FAILED_PRECONDITION otherwise. 0 or undefined: not checked. */
	readonly size?: number;
	/** The digest it must have; rejects with FAILED_PRECONDITION otherwise. */
	readonly expected?: Digest;
	readonly labels?: Labels;
}

/** A file that another thread may read while it is written. Its bytes stay readable until this is disposed. */
export interface GrowingFile extends AsyncDisposable {
	readonly file: string;
	/** What of it can be read by now: see Growth. */
	readonly growth: SharedArrayBuffer;
}

/** Holds the lock of one ref until disposed. Disposing does not abort: what was written stays for the next writer. */
export interface ContentWriter extends AsyncDisposable {
	status(): IngestStatus;
	/** Appends. Resolves when the writer can take more. The chunk must not be changed afterwards. */
	write(chunk: Uint8Array): Promise<void>;
	/** Of all that is written so far, once it is hashed, with the algorithm of the expected digest (default sha256). Undefined where the store tells none before the commit. */
	digest(): Promise<Digest | undefined>;
	/** Throws away what lies beyond `size`; only 0 must be supported. Rejects with OUT_OF_RANGE beyond the end. */
	truncate(size: number): Promise<void>;
	/**
	 * Makes the blob visible and durable: its bytes, then its name. Resolves to its digest. Rejects with ALREADY_EXISTS when the blob was
	 * here already (the ingest is gone, the blob stands, and the message names its digest), with FAILED_PRECONDITION when size or digest differ (the ingest is kept).
	 */
	commit(options?: CommitOptions): Promise<Digest>;
	/**
	 * What is written, for those who cannot wait for the blob: nobody has checked the bytes yet. It is whole once a commit found them right, and abandoned by
	 * truncate, and by dispose without commit. Undefined where the bytes lie in no file, or the writer is done.
	 */
	follow?(): Promise<GrowingFile | undefined>;
}

export interface ReadRange {
	/** First byte, default 0. Beyond the end: OUT_OF_RANGE. */
	readonly offset?: number;
	/** Bytes at most; default to the end. */
	readonly size?: number;
	readonly signal?: AbortSignal;
}

/** A blob opened for reading; stays readable until disposed, even when the blob is deleted meanwhile. */
export interface ContentReader extends AsyncDisposable {
	readonly digest: Digest;
	/** Bytes. */
	readonly size: number;
	/** A file that holds exactly these bytes and may be read by another thread or process, where there is one. */
	readonly file?: string;
	/** Chunks of at most 1 MiB, with back-pressure. */
	read(range?: ReadRange): AsyncIterable<Uint8Array>;
}

/** What a reader of blobs needs. */
export interface ContentProvider {
	/** Rejects with NOT_FOUND. */
	open(digest: Digest): Promise<ContentReader>;
}

/** What a writer of blobs needs. */
export interface ContentIngester {
	/**
	 * Opens the ref's ingest, new or begun earlier. Rejects with ALREADY_EXISTS (`expected` is here), UNAVAILABLE (`ref … locked`:
	 * another writer holds it), FAILED_PRECONDITION (begun with another total or digest), INVALID_ARGUMENT (empty ref).
	 */
	writer(options: WriterOptions): Promise<ContentWriter>;
}

export interface ContentStore extends ContentProvider, ContentIngester {
	/** Rejects with NOT_FOUND. */
	info(digest: Digest): Promise<ContentInfo>;
	/**
	 * Replaces labels: all of them when `fields` is empty or has `labels`, else only those named `labels.<key>` (an empty value removes).
	 * Rejects with NOT_FOUND, with INVALID_ARGUMENT for any other field, with UNIMPLEMENTED where the store keeps no labels.
	 */
	update(digest: Digest, labels: Labels, fields: readonly string[]): Promise<ContentInfo>;
	/** In the order of digests. `filters` are OR-ed (fields `digest`, `size`, `labels.<key>`); none: all. */
	list(filters?: readonly string[], signal?: AbortSignal): AsyncIterable<ContentInfo>;
	/** Rejects with NOT_FOUND. */
	delete(digest: Digest): Promise<void>;
	/** Rejects with NOT_FOUND. */
	status(ref: string): Promise<IngestStatus>;
	/** `filters` on `ref`; none: all. */
	statuses(filters?: readonly string[]): Promise<readonly IngestStatus[]>;
	/** Rejects with NOT_FOUND; with UNAVAILABLE while a writer holds it. */
	abort(ref: string): Promise<void>;
}

/** The bare store: no namespaces, no garbage collection. Whoever acts for a client goes through Metadata. */
export const ContentStore = contract('io.containerd.content.v1').for<ContentStore>();
