import {isKeelsonError} from '../../../kernel/errors.ts';
import type {Logger} from '../../../kernel/log.ts';
import type {SnapshotDepot} from '../snapshot/snapshot-depot.ts';
import type {Pace} from './pace.ts';

/** Removes the bare snapshots among `backends` that have no row, children before parents. What cannot go now is looked at again next time. */
export async function sweepSnapshots(depot: SnapshotDepot, backends: readonly string[], pace: Pace, log: Logger): Promise<void> {
	let waiting = backends.filter(backend => isOrphan(depot, backend));
	// A parent goes once its children have: as long as a round removes anything, the next may remove more.
	for (let before = waiting.length + 1; waiting.length > 0 && waiting.length < before;) {
		before = waiting.length;
		const left: string[] = [];
		for (const backend of waiting) {
			if (isOrphan(depot, backend) && !await remove(depot, backend, log)) {
				left.push(backend);
			}
			await pace.breathe();
		}
		waiting = left;
	}
	for (const backend of waiting) {
		depot.suspect(backend);
	}
}

/** Every bare snapshot, the newest first. */
export async function allBackends({bare}: SnapshotDepot): Promise<readonly string[]> {
	const names = await Array.fromAsync(bare.list(), ({name}) => name);
	return names.toReversed();
}

function isOrphan(depot: SnapshotDepot, backend: string): boolean {
	const {ledger, name} = depot;
	return !depot.isInFlight(backend) && ledger.database.get('SELECT 1 FROM snapshot WHERE snapshotter = ? AND backend = ?', name, backend) === undefined;
}

// True when it is gone; false when something stands on it still, or a request may be about to give it a row.
async function remove({bare, guard, name: snapshotter}: SnapshotDepot, backend: string, log: Logger): Promise<boolean> {
	try {
		return await guard.remove(backend, async () => bare.remove(backend));
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return true;
		}
		if (!isKeelsonError(error, 'FAILED_PRECONDITION')) {
			log.error('failed to remove a snapshot that nothing refers to', {snapshotter, key: backend, error});
		}
		return false;
	}
}
