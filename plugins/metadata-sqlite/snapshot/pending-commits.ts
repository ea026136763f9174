import {isKeelsonError} from '../../../kernel/errors.ts';
import type {Labels} from '../../../contracts/oci/labels.ts';
import {nodeOf} from '../collect/node.ts';
import {encodeLabels} from '../labels.ts';
import type {Change} from '../ledger.ts';
import type {SnapshotDepot} from './snapshot-depot.ts';

/** That the active snapshot `key` is to become `name`. It is written before the bare snapshotter is asked, since the two cannot happen at once. */
export interface PendingCommit {
	readonly namespace: string;
	readonly key: string;
	readonly name: string;
	readonly number: number;
	readonly backend: string;
	readonly parent: string;
	readonly labels: Labels;
}

type PendingRow = Omit<PendingCommit, 'labels'> & {readonly labels: string};

export function writePending(change: Change, snapshotter: string, {namespace, key, name, number, backend, parent, labels}: PendingCommit): void {
	change.database.run(
		'INSERT OR REPLACE INTO snapshot_commit (namespace, snapshotter, key, name, number, backend, parent, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
		namespace, snapshotter, key, name, number, backend, parent, encodeLabels(labels),
	);
}

export function dropPending(change: Change, snapshotter: string, {namespace, key}: Pick<PendingCommit, 'namespace' | 'key'>): void {
	change.database.run('DELETE FROM snapshot_commit WHERE namespace = ? AND snapshotter = ? AND key = ?', namespace, snapshotter, key);
}

/** The bare snapshotter has committed: the row of `key` becomes that of `name`. */
export function writeCommitted(change: Change, snapshotter: string, pending: PendingCommit): void {
	const {namespace, key, name, number, backend, parent, labels} = pending;
	change.database.run(
		'UPDATE snapshot SET number = ?, name = ?, backend = ?, parent = ?, labels = ?, updated_at = ? WHERE namespace = ? AND snapshotter = ? AND name = ?',
		number, name, backend, parent, encodeLabels(labels), change.now, namespace, snapshotter, key,
	);
	dropPending(change, snapshotter, pending);
	change.touch(nodeOf('snapshot', namespace, `${snapshotter}/${name}`));
	change.event(namespace, '/snapshot/commit', 'containerd.events.SnapshotCommit', {key, name, snapshotter});
}

/** Settles what a daemon that was killed left pending: what the bare snapshotter has done is written down, the rest is forgotten. */
export async function finishCommits({name: snapshotter, ledger, bare}: SnapshotDepot): Promise<void> {
	const rows = ledger.database.all<PendingRow>('SELECT * FROM snapshot_commit WHERE snapshotter = ?', snapshotter);
	for (const row of rows) {
		const pending = {...row, labels: JSON.parse(row.labels) as Labels};
		const isDone = await isThere(bare.stat(row.backend));
		ledger.change(change => {
			if (isDone) {
				writeCommitted(change, snapshotter, pending);
			} else {
				dropPending(change, snapshotter, pending);
			}
		});
	}
}

async function isThere(stat: Promise<unknown>): Promise<boolean> {
	try {
		await stat;
		return true;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return false;
		}
		throw error;
	}
}
