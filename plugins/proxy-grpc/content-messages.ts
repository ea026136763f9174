import {bytesOf} from '../../api/convert/bytes.ts';
import {dateOf} from '../../api/convert/timestamp.ts';
import type {Info, Status} from '../../api/gen/services/content/v1/content.ts';
import type {ContentInfo, IngestStatus} from '../../contracts/content/content.ts';
import {parseDigest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {withoutRoot} from './root-label.ts';

const NEVER = new Date(0);

/** Throws INVALID_ARGUMENT where the peer answers what cannot be. */
export function contentInfo(info: Info | undefined): ContentInfo {
	const {digest, size, createdAt, updatedAt, labels} = required(info, 'info');
	return {digest: parseDigest(digest), size: bytesOf(size, 'size'), createdAt: dateOf(createdAt) ?? NEVER, updatedAt: dateOf(updatedAt) ?? NEVER, labels: withoutRoot(labels)};
}

export function ingestStatus(status: Status | undefined): IngestStatus {
	const {ref, offset, total, expected, startedAt, updatedAt} = required(status, 'status');
	return {
		ref, offset: bytesOf(offset, 'offset'), total: bytesOf(total, 'total'),
		...(expected === '' ? {} : {expected: parseDigest(expected)}),
		startedAt: dateOf(startedAt) ?? NEVER, updatedAt: dateOf(updatedAt) ?? NEVER,
	};
}

/** A field that an answer must have. */
export function required<T>(value: T | undefined, what: string): T {
	if (value === undefined) {
		throw new KeelsonError('INTERNAL', `the peer's answer has no ${what}`);
	}
	return value;
}
