import type {CommitSnapshotOptions, PrepareSnapshotOptions, SnapshotInfo, SnapshotOptions, SnapshotUsage, Snapshotter} from '../../../contracts/snapshot/snapshot.ts';
import type {Labels} from '../../../contracts/oci/labels.ts';
import type {Mount} from '../../../contracts/oci/mount.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {compileFilters} from '../../../lib/filters/filters.ts';
import {nodeOf, type Node} from '../collect/node.ts';
import {decodeLabels, encodeLabels, updatedLabels} from '../labels.ts';
import type {Owner} from '../ledger.ts';
import {commitSnapshot} from './commit-snapshot.ts';
import {prepareSnapshot} from './prepare-snapshot.ts';
import {SnapshotDepot} from './snapshot-depot.ts';
import {findSnapshot, hasChildren, isInherited, snapshotField, snapshotInfo, type SnapshotRow} from './snapshot-rows.ts';

const PAGE = 200;

/** One namespace's view of one bare snapshotter: names are the namespace's own, and stand for keys that are unique in the bare one. */
export class ScopedSnapshotter implements Snapshotter {
	readonly #depot: SnapshotDepot;
	readonly #owner: Owner;

	constructor(depot: SnapshotDepot, owner: Owner) {
		this.#depot = depot;
		this.#owner = owner;
	}

	async stat(name: string): Promise<SnapshotInfo> {
		await this.#depot.recovered();
		const row = this.#row(name);
		return snapshotInfo(row, await this.#bare(row, async backend => this.#depot.bare.stat(backend)));
	}

	async update(name: string, labels: Labels, fields: readonly string[]): Promise<SnapshotInfo> {
		await this.#depot.recovered();
		const {ledger, bare} = this.#depot;
		using _lock = await this.#lock(name);
		const row = ledger.change(change => {
			const {number, labels: before} = this.#row(name);
			const next = updatedLabels(decodeLabels(before), labels, fields);
			change.database.run('UPDATE snapshot SET labels = ?, updated_at = ? WHERE number = ?', encodeLabels(next), change.now, number);
			change.touch(this.#node(name));
			return this.#row(name);
		});
		const handedOn = fields.length === 0 || fields.includes('labels')
			? Object.keys(decodeLabels(row.labels)).filter(isInherited).map(key => `labels.${key}`)
			: fields.filter(field => isInherited(field.slice('labels.'.length)));
		if (handedOn.length > 0) {
			await this.#bare(row, async backend => bare.update(backend, decodeLabels(row.labels), handedOn));
		}
		return snapshotInfo(row, await this.#bare(row, async backend => bare.stat(backend)));
	}

	async usage(name: string, signal?: AbortSignal): Promise<SnapshotUsage> {
		await this.#depot.recovered();
		return this.#bare(this.#row(name), async backend => this.#depot.bare.usage(backend, signal));
	}

	async mounts(key: string): Promise<readonly Mount[]> {
		await this.#depot.recovered();
		return this.#bare(this.#row(key), async backend => this.#depot.bare.mounts(backend));
	}

	get canRebase(): boolean {
		return this.#depot.bare.canRebase === true;
	}

	async prepare(key: string, parent: string, options?: PrepareSnapshotOptions): Promise<readonly Mount[]> {
		return prepareSnapshot(this.#depot, this.#owner, {key, parent, isReadOnly: false, ...options});
	}

	async view(key: string, parent: string, options?: SnapshotOptions): Promise<readonly Mount[]> {
		return prepareSnapshot(this.#depot, this.#owner, {key, parent, isReadOnly: true, ...options});
	}

	async commit(name: string, key: string, options?: CommitSnapshotOptions): Promise<void> {
		await commitSnapshot(this.#depot, this.#owner, {name, key, ...options});
	}

	/** The name is free when this resolves; the collector removes what it stood for. */
	async remove(name: string): Promise<void> {
		await this.#depot.recovered();
		const {ledger, name: snapshotter} = this.#depot;
		const {namespace} = this.#owner;
		using _lock = await this.#lock(name);
		const backend = ledger.change(change => {
			const row = this.#row(name);
			if (hasChildren(change.database, namespace, snapshotter, name)) {
				throw new KeelsonError('FAILED_PRECONDITION', 'cannot remove snapshot with child');
			}
			change.database.run('DELETE FROM snapshot WHERE number = ?', row.number);
			change.unlease(this.#owner, `snapshots/${snapshotter}`, name);
			change.event(namespace, '/snapshot/remove', 'containerd.events.SnapshotRemove', {key: name, snapshotter});
			change.loosen();
			return row.backend;
		});
		this.#depot.suspect(backend);
	}

	async *list(filters: readonly string[] = [], signal?: AbortSignal): AsyncIterable<SnapshotInfo> {
		const matches = compileFilters(filters);
		await this.#depot.recovered();
		let last = '';
		for (;;) {
			signal?.throwIfAborted();
			const rows = this.#depot.ledger.database.all<SnapshotRow>(
				'SELECT * FROM snapshot WHERE namespace = ? AND snapshotter = ? AND name > ? ORDER BY name LIMIT ?', this.#owner.namespace, this.#depot.name, last, PAGE,
			);
			for (const row of rows) {
				const info = await this.#infoIfThere(row);
				if (info !== undefined && matches(path => snapshotField(info, path))) {
					yield info;
				}
			}
			const end = rows.at(-1);
			if (end === undefined || rows.length < PAGE) {
				return;
			}
			last = end.name;
		}
	}

	async cleanup(signal?: AbortSignal): Promise<void> {
		await this.#depot.bare.cleanup(signal);
	}

	// It may be removed while the list is read.
	async #infoIfThere(row: SnapshotRow): Promise<SnapshotInfo | undefined> {
		try {
			return snapshotInfo(row, await this.#depot.bare.stat(row.backend));
		} catch (error) {
			if (isKeelsonError(error, 'NOT_FOUND')) {
				return undefined;
			}
			throw error;
		}
	}

	async #bare<T>({backend, name}: SnapshotRow, ask: (backend: string) => Promise<T>): Promise<T> {
		try {
			return await ask(backend);
		} catch (error) {
			return SnapshotDepot.rename(error, backend, name);
		}
	}

	async #lock(name: string): Promise<Disposable> {
		return this.#depot.locks.hold(`${this.#owner.namespace}/${name}`);
	}

	#node(name: string): Node {
		return nodeOf('snapshot', this.#owner.namespace, `${this.#depot.name}/${name}`);
	}

	#row(name: string): SnapshotRow {
		const row = findSnapshot(this.#depot.ledger.database, this.#owner.namespace, this.#depot.name, name);
		if (row === undefined) {
			throw new KeelsonError('NOT_FOUND', `snapshot ${JSON.stringify(name)} does not exist: not found`);
		}
		return row;
	}
}
