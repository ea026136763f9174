import type {Digest} from '../../../contracts/oci/digest.ts';
import {isKeelsonError} from '../../../kernel/errors.ts';
import type {Logger} from '../../../kernel/log.ts';
import type {ContentDepot} from '../content/content-depot.ts';
import type {Pace} from './pace.ts';

/** Removes the bare blobs among `digests` that no namespace has a row for. What cannot go now is looked at again next time. */
export async function sweepBlobs(depot: ContentDepot, digests: AsyncIterable<Digest> | Iterable<Digest>, pace: Pace, log: Logger): Promise<void> {
	for await (const digest of digests) {
		if (isNamed(depot, digest)) {
			continue;
		}
		try {
			if (!await depot.guard.remove(digest, async () => depot.bare.delete(digest))) {
				depot.suspect(digest);
			}
		} catch (error) {
			if (!isKeelsonError(error, 'NOT_FOUND')) {
				depot.suspect(digest);
				log.error('failed to remove a blob that nothing refers to', {digest, error});
			}
		}
		await pace.breathe();
	}
}

/** Aborts the bare ingests among `refs` that have no row. A row is written before its ingest is begun, so these have no writer of ours. */
export async function sweepIngests(depot: ContentDepot, refs: Iterable<string>, pace: Pace, log: Logger): Promise<void> {
	for (const ref of refs) {
		if (depot.ledger.database.get('SELECT 1 FROM ingest WHERE backend = ?', ref) !== undefined) {
			continue;
		}
		try {
			await depot.bare.abort(ref);
		} catch (error) {
			if (!isKeelsonError(error, 'NOT_FOUND')) {
				log.error('failed to abort an ingest that nobody knows', {ref, error});
			}
		}
		await pace.breathe();
	}
}

function isNamed({ledger: {database}}: ContentDepot, digest: Digest): boolean {
	return database.get('SELECT 1 FROM content WHERE digest = ? LIMIT 1', digest) !== undefined
		|| database.get('SELECT 1 FROM ingest WHERE shared = ? LIMIT 1', digest) !== undefined;
}
