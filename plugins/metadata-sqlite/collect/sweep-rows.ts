import type {Digest} from '../../../contracts/oci/digest.ts';
import {findSnapshot} from '../snapshot/snapshot-rows.ts';
import {findIngest} from '../content/content-rows.ts';
import type {Change, Ledger} from '../ledger.ts';
import {partsOf, snapshotOf, type Node} from './node.ts';
import type {Pace} from './pace.ts';
import type {Scan} from './scan.ts';

/** How many rows go in one transaction. */
const BATCH = 100;

/** What lost its row, for those who remove what the rows stood for. */
export interface Removed {
	readonly content: Digest[];
	readonly snapshots: Array<{readonly snapshotter: string; readonly backend: string}>;
	/** Refs of the bare store; none for what was only promised. */
	readonly ingests: string[];
	contentRows: number;
	ingestRows: number;
	leases: number;
	images: number;
}

/**
 * Removes the rows of what is not reached. Right before each batch, what was touched or is pinned is followed too, in the same turn as the
 * transaction, so nothing comes between the decision and the deed.
 */
export async function sweepRows(ledger: Ledger, {reach, candidates, condemn}: Scan, pace: Pace): Promise<Removed> {
	const removed: Removed = {content: [], snapshots: [], ingests: [], contentRows: 0, ingestRows: 0, leases: 0, images: 0};
	for (let at = 0; at < candidates.length; at += BATCH) {
		reach.again(ledger.barrier.take());
		while (reach.step()) {
			// Few: what changed while the scan ran.
		}
		const batch = candidates.slice(at, at + BATCH).filter(node => !reach.has(node));
		const rows = batch.filter(node => !condemn.has(node));
		if (rows.length > 0) {
			ledger.change(change => {
				for (const node of rows) {
					removeRow(change, node, removed);
				}
			});
		}
		for (const node of batch) {
			condemn.get(node)?.();
		}
		await pace.breathe();
	}
	return removed;
}

function removeRow(change: Change, node: Node, removed: Removed): void {
	const {database} = change;
	const {kind, namespace, key} = partsOf(node);
	switch (kind) {
		case 'content': {
			removed.contentRows += database.run('DELETE FROM content WHERE namespace = ? AND digest = ?', namespace, key);
			removed.content.push(key as Digest);
			return;
		}
		case 'ingest': {
			const backend = findIngest(database, namespace, key)?.backend;
			removed.ingestRows += database.run('DELETE FROM ingest WHERE namespace = ? AND ref = ?', namespace, key);
			removed.ingests.push(...backend === undefined || backend === null ? [] : [backend]);
			return;
		}
		case 'snapshot': {
			const {snapshotter, name} = snapshotOf(key);
			const row = findSnapshot(database, namespace, snapshotter, name);
			if (row !== undefined) {
				database.run('DELETE FROM snapshot WHERE number = ?', row.number);
				change.event(namespace, '/snapshot/remove', 'containerd.events.SnapshotRemove', {key: name, snapshotter});
				removed.snapshots.push({snapshotter, backend: row.backend});
			}
			return;
		}
		case 'image': {
			removed.images += database.run('DELETE FROM image WHERE namespace = ? AND name = ?', namespace, key);
			change.event(namespace, '/images/delete', 'containerd.services.images.v1.ImageDelete', {name: key});
			return;
		}
		case 'lease': {
			removed.leases += database.run('DELETE FROM lease WHERE namespace = ? AND id = ?', namespace, key);
			return;
		}
		case 'container':
		case 'mount':
		case 'stream': {
			return;
		}
	}
}
