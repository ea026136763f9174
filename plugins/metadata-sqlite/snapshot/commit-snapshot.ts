import type {CommitSnapshotOptions} from '../../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {nodeOf} from '../collect/node.ts';
import {encodeLabels} from '../labels.ts';
import type {Owner} from '../ledger.ts';
import {dropPending, writeCommitted, writePending, type PendingCommit} from './pending-commits.ts';
import {SnapshotDepot} from './snapshot-depot.ts';
import {findSnapshot, inheritedLabels, type SnapshotRow} from './snapshot-rows.ts';

interface Request extends CommitSnapshotOptions {
	readonly name: string;
	readonly key: string;
}

/** The intention, then the bare commit, then the row: killed at any point, the next start finishes it or forgets it. */
export async function commitSnapshot(depot: SnapshotDepot, owner: Owner, request: Request): Promise<void> {
	const {name, key, labels = {}, signal} = request;
	const {ledger, bare, name: snapshotter} = depot;
	const {namespace} = owner;
	if (name === '') {
		throw new KeelsonError('INVALID_ARGUMENT', 'a snapshot name must not be empty');
	}
	encodeLabels(labels);
	await depot.recovered();
	using _lock = await depot.locks.hold(...new Set([`${namespace}/${name}`, `${namespace}/${key}`]));
	signal?.throwIfAborted();
	const {row, parent} = checkCommit(depot, namespace, request);
	using _key = ledger.barrier.pin(nodeOf('snapshot', namespace, `${snapshotter}/${key}`));
	using _parent = parent === '' ? undefined : ledger.barrier.pin(nodeOf('snapshot', namespace, `${snapshotter}/${parent}`));
	using made = depot.newBackend(namespace, name);
	const pending: PendingCommit = {namespace, key, name, number: made.number, backend: made.backend, parent, labels};
	ledger.change(change => {
		change.lease(owner, `snapshots/${snapshotter}`, name);
		writePending(change, snapshotter, pending);
	});

	try {
		const bareParent = request.parent === undefined || request.parent === row.parent ? undefined : findSnapshot(ledger.database, namespace, snapshotter, parent)?.backend;
		await bare.commit(made.backend, row.backend, {
			labels: inheritedLabels(labels),
			...(bareParent === undefined ? {} : {parent: bareParent}),
			...(signal === undefined ? {} : {signal}),
		});
	} catch (error) {
		ledger.change(change => {
			change.unlease(owner, `snapshots/${snapshotter}`, name);
			dropPending(change, snapshotter, pending);
		});
		return SnapshotDepot.rename(error, row.backend, key);
	}
	ledger.change(change => {
		writeCommitted(change, snapshotter, pending);
		change.unlease(owner, `snapshots/${snapshotter}`, key);
	});
}

function checkCommit({ledger: {database}, name: snapshotter}: SnapshotDepot, namespace: string, {name, key, parent}: Request): {row: SnapshotRow; parent: string} {
	const row = findSnapshot(database, namespace, snapshotter, key);
	if (row === undefined) {
		throw new KeelsonError('NOT_FOUND', `snapshot ${JSON.stringify(key)} does not exist: not found`);
	}
	if (findSnapshot(database, namespace, snapshotter, name) !== undefined) {
		throw new KeelsonError('ALREADY_EXISTS', `snapshot ${JSON.stringify(name)}: already exists`);
	}
	if (parent !== undefined && parent !== '' && findSnapshot(database, namespace, snapshotter, parent) === undefined) {
		throw new KeelsonError('NOT_FOUND', `parent snapshot ${JSON.stringify(parent)} does not exist: not found`);
	}
	return {row, parent: parent === undefined || parent === '' ? row.parent : parent};
}
