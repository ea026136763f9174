import type {ContentInfo, IngestStatus} from '../../../contracts/content/content.ts';
import type {Digest} from '../../../contracts/oci/digest.ts';
import type {Database} from '../../../lib/sqlite/database.ts';
import {decodeLabels} from '../labels.ts';

export interface ContentRow {
	readonly digest: Digest;
	readonly labels: string;
	readonly size: number;
	readonly created_at: number;
	readonly updated_at: number;
}

export interface IngestRow {
	readonly ref: string;
	/** Its ref in the bare store; null while it is a promise of `shared`. */
	readonly backend: string | null;
	readonly shared: Digest | null;
	readonly expected: Digest | null;
	/** Bytes of `shared`. */
	readonly size: number;
	readonly started_at: number;
	readonly expires_at: number;
}

export function findContent(database: Database, namespace: string, digest: Digest): ContentRow | undefined {
	return database.get<ContentRow>('SELECT * FROM content WHERE namespace = ? AND digest = ?', namespace, digest);
}

export function findIngest(database: Database, namespace: string, ref: string): IngestRow | undefined {
	return database.get<IngestRow>('SELECT * FROM ingest WHERE namespace = ? AND ref = ?', namespace, ref);
}

export function contentInfo({digest, labels, size, created_at, updated_at}: ContentRow): ContentInfo {
	return {digest, size, labels: decodeLabels(labels), createdAt: new Date(created_at), updatedAt: new Date(updated_at)};
}

/** What a promise of a shared blob looks like: an ingest that has all its bytes. */
export function sharedStatus({ref, shared, size, started_at}: Pick<IngestRow, 'ref' | 'shared' | 'size' | 'started_at'>): IngestStatus {
	const startedAt = new Date(started_at);
	return {ref, offset: size, total: size, startedAt, updatedAt: startedAt, ...(shared === null ? {} : {expected: shared})};
}

export function contentField({digest, size, labels}: ContentInfo, [field, key = '']: readonly string[]): string | undefined {
	switch (field) {
		case 'digest': {
			return digest;
		}
		case 'size': {
			return String(size);
		}
		case 'labels': {
			return Object.hasOwn(labels, key) ? labels[key] : undefined;
		}
		case undefined:
		default: {
			return undefined;
		}
	}
}
