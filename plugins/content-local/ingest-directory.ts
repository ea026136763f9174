import {createHash} from 'node:crypto';
import {mkdir, open, readFile, readdir, rename, rm, stat} from 'node:fs/promises';
import path from 'node:path';
import type {IngestStatus} from '../../contracts/content/content.ts';
import {isDigest, type Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {isMissing} from './blob-directory.ts';

/** What is known of an ingest when it begins. */
export interface IngestRecord {
	readonly ref: string;
	/** Bytes announced, 0 when unknown. */
	readonly total: number;
	readonly expected?: Digest;
	readonly startedAt: Date;
}

const RECORD_BYTES_MAX = 16_384;

/**
 * Ingests under way, which outlive the process.
 *
 *     ingest/<sha256 of the ref>/record     JSON: ref, total, expected, startedAt
 *     ingest/<sha256 of the ref>/data       the bytes so far; its size is the offset, its mtime the time of the last write
 */
export class IngestDirectory {
	readonly #root: string;

	private constructor(root: string) {
		this.#root = root;
	}

	static async open(root: string): Promise<IngestDirectory> {
		await mkdir(root, {recursive: true, mode: 0o700});
		return new IngestDirectory(root);
	}

	dataOf(ref: string): string {
		return path.join(this.#directoryOf(ref), 'data');
	}

	/** Begins an ingest; the record is there whole, or not at all. */
	async begin(record: IngestRecord): Promise<void> {
		const directory = this.#directoryOf(record.ref);
		await mkdir(directory, {recursive: true, mode: 0o700});
		await (await open(path.join(directory, 'data'), 'a', 0o600)).close();
		const temporary = path.join(directory, 'record.new');
		const handle = await open(temporary, 'w', 0o600);
		try {
			await handle.writeFile(JSON.stringify({...record, startedAt: record.startedAt.toISOString()}));
		} finally {
			await handle.close();
		}
		await rename(temporary, path.join(directory, 'record'));
	}

	/** Undefined when there is no such ingest. */
	async status(ref: string): Promise<IngestStatus | undefined> {
		return statusOf(this.#directoryOf(ref));
	}

	async list(): Promise<IngestStatus[]> {
		const statuses: IngestStatus[] = [];
		for (const name of (await readdir(this.#root)).toSorted()) {
			const status = await statusOf(path.join(this.#root, name));
			if (status !== undefined) {
				statuses.push(status);
			}
		}
		return statuses;
	}

	/** Removing what is not there is no error. */
	async remove(ref: string): Promise<void> {
		await rm(this.#directoryOf(ref), {recursive: true, force: true});
	}

	#directoryOf(ref: string): string {
		return path.join(this.#root, createHash('sha256').update(ref).digest('hex'));
	}
}

async function statusOf(directory: string): Promise<IngestStatus | undefined> {
	try {
		const file = path.join(directory, 'record');
		if ((await stat(file)).size > RECORD_BYTES_MAX) {
			return undefined;
		}
		const record: unknown = JSON.parse(await readFile(file, 'utf8'));
		const {size, mtime} = await stat(path.join(directory, 'data'));
		return isRecord(record) ? {
			ref: record.ref,
			total: record.total,
			...(record.expected !== undefined && isDigest(record.expected) ? {expected: record.expected} : {}),
			startedAt: new Date(record.startedAt),
			updatedAt: mtime,
			offset: size,
		} : undefined;
	} catch (error) {
		// A record cut short by a crash is no ingest: the next writer of its ref begins anew.
		if (isMissing(error) || error instanceof SyntaxError) {
			return undefined;
		}
		throw KeelsonError.from(error);
	}
}

function isRecord(value: unknown): value is {ref: string; total: number; expected?: string; startedAt: string} {
	return typeof value === 'object' && value !== null
		&& 'ref' in value && typeof value.ref === 'string'
		&& 'total' in value && typeof value.total === 'number'
		&& 'startedAt' in value && typeof value.startedAt === 'string'
		&& (!('expected' in value) || typeof value.expected === 'string');
}
