import type {PrepareSnapshotOptions, SnapshotInfo} from '../../../contracts/snapshot/snapshot.ts';
import type {Mount} from '../../../contracts/oci/mount.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {nodeOf} from '../collect/node.ts';
import {encodeLabels} from '../labels.ts';
import type {Change, Owner} from '../ledger.ts';
import {SnapshotDepot} from './snapshot-depot.ts';
import {findSnapshot, inheritedLabels} from './snapshot-rows.ts';

/** Names the committed snapshot that a client wants in the end; where it is there already, nothing has to be prepared. */
const TARGET = 'containerd.io/snapshot.ref';

interface Request extends PrepareSnapshotOptions {
	readonly key: string;
	readonly parent: string;
	readonly isReadOnly: boolean;
}

/** Prepare and view: the bare snapshot first, then its row. Rejects as the contract says; what is there already is leased all the same. */
export async function prepareSnapshot(depot: SnapshotDepot, owner: Owner, request: Request): Promise<readonly Mount[]> {
	const {key, parent, isReadOnly, isApart = false, labels = {}, signal} = request;
	const {ledger, bare, name: snapshotter} = depot;
	const {namespace} = owner;
	if (key === '') {
		throw new KeelsonError('INVALID_ARGUMENT', 'a snapshot key must not be empty');
	}
	const encoded = encodeLabels(labels);
	await depot.recovered();
	using _lock = await depot.locks.hold(`${namespace}/${key}`);
	signal?.throwIfAborted();
	const target = labels[TARGET] ?? '';
	refuseExisting(depot, owner, [target, key]);
	using _parent = parent === '' ? undefined : ledger.barrier.pin(nodeOf('snapshot', namespace, `${snapshotter}/${parent}`));
	const bareParent = parent === '' ? '' : backendOf(depot, namespace, parent);
	using made = depot.newBackend(namespace, key);

	const insert = (change: Change, name: string, backend: string): void => {
		if (parent !== '') {
			backendOf(depot, namespace, parent);
		}
		change.useNamespace(namespace);
		change.database.run(
			'INSERT INTO snapshot (number, namespace, snapshotter, name, backend, parent, labels, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
			made.number, namespace, snapshotter, name, backend, parent, encoded, change.now, change.now,
		);
		change.lease(owner, `snapshots/${snapshotter}`, name);
		change.touch(nodeOf('snapshot', namespace, `${snapshotter}/${name}`));
	};

	const options = {labels: inheritedLabels(labels), ...(signal === undefined ? {} : {signal})};
	let mounts: readonly Mount[];
	try {
		mounts = await (isReadOnly ? bare.view(made.backend, bareParent, options) : bare.prepare(made.backend, bareParent, {...options, isApart}));
	} catch (error) {
		// The bare snapshotter brings the target itself, from elsewhere, and says that there is nothing to prepare. Its key is none of ours: until it
		// has a row, the collector takes it for a leftover.
		using _brought = await depot.guard.hold(undefined);
		const brought = target !== '' && isKeelsonError(error, 'ALREADY_EXISTS') ? await findTarget(depot, target, bareParent) : undefined;
		if (brought === undefined) {
			return SnapshotDepot.rename(error, made.backend, key);
		}
		ledger.change(change => {
			insert(change, target, brought.name);
		});
		throw new KeelsonError('ALREADY_EXISTS', `snapshot ${JSON.stringify(target)}: already exists`, {cause: error});
	}
	try {
		ledger.change(change => {
			insert(change, key, made.backend);
			change.event(namespace, '/snapshot/prepare', 'containerd.events.SnapshotPrepare', {key, parent, snapshotter});
		});
	} catch (error) {
		depot.suspect(made.backend);
		throw error;
	}
	return mounts;
}

function refuseExisting(depot: SnapshotDepot, owner: Owner, names: readonly string[]): void {
	const {ledger, name: snapshotter} = depot;
	const existing = names.find(name => name !== '' && findSnapshot(ledger.database, owner.namespace, snapshotter, name) !== undefined);
	if (existing === undefined) {
		return;
	}
	ledger.change(change => {
		change.lease(owner, `snapshots/${snapshotter}`, existing);
		change.touch(nodeOf('snapshot', owner.namespace, `${snapshotter}/${existing}`));
	});
	throw new KeelsonError('ALREADY_EXISTS', `snapshot ${JSON.stringify(existing)}: already exists`);
}

function backendOf({ledger, name: snapshotter}: SnapshotDepot, namespace: string, parent: string): string {
	const row = findSnapshot(ledger.database, namespace, snapshotter, parent);
	if (row === undefined) {
		throw new KeelsonError('NOT_FOUND', `parent snapshot ${JSON.stringify(parent)} does not exist: not found`);
	}
	return row.backend;
}

async function findTarget({bare, ledger, name: snapshotter}: SnapshotDepot, target: string, parent: string): Promise<SnapshotInfo | undefined> {
	for await (const info of bare.list([`labels.${JSON.stringify(TARGET)}==${JSON.stringify(target)}`])) {
		const isFree = ledger.database.get('SELECT 1 FROM snapshot WHERE snapshotter = ? AND backend = ?', snapshotter, info.name) === undefined;
		if (info.kind === 'committed' && info.parent === parent && isFree) {
			return info;
		}
	}
	return undefined;
}
