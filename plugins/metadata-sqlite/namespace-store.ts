import type {NamespaceInfo, NamespaceStore} from '../../contracts/metadata/metadata.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {decodeLabels, encodeLabels, updatedLabels} from './labels.ts';
import type {Ledger} from './ledger.ts';

interface NamespaceRow {
	readonly name: string;
	readonly labels: string;
}

// What keeps a namespace from being deleted; leases and ingests go with it.
const HOLDINGS = [['images', 'image'], ['blobs', 'content'], ['containers', 'container'], ['sandboxes', 'sandbox']] as const;

export class SqliteNamespaceStore implements NamespaceStore {
	readonly #ledger: Ledger;

	constructor(ledger: Ledger) {
		this.#ledger = ledger;
	}

	async get(name: string): Promise<NamespaceInfo> {
		return this.#find(name);
	}

	async list(): Promise<readonly NamespaceInfo[]> {
		return this.#ledger.database.all<NamespaceRow>('SELECT * FROM namespace ORDER BY name').map(row => infoOf(row));
	}

	async create({name, labels}: NamespaceInfo): Promise<NamespaceInfo> {
		parseIdentifier(name, 'namespace');
		const encoded = encodeLabels(labels);
		return this.#ledger.change(change => {
			if (change.database.run('INSERT OR IGNORE INTO namespace VALUES (?, ?)', name, encoded) === 0) {
				throw new KeelsonError('ALREADY_EXISTS', `namespace ${JSON.stringify(name)}: already exists`);
			}
			const info = this.#find(name);
			change.event(name, '/namespaces/create', 'containerd.events.NamespaceCreate', info);
			return info;
		});
	}

	async update({name, labels}: NamespaceInfo, fields: readonly string[]): Promise<NamespaceInfo> {
		return this.#ledger.change(change => {
			const next = updatedLabels(this.#find(name).labels, labels, fields);
			change.database.run('UPDATE namespace SET labels = ? WHERE name = ?', encodeLabels(next), name);
			const info = this.#find(name);
			change.event(name, '/namespaces/update', 'containerd.events.NamespaceUpdate', info);
			return info;
		});
	}

	async delete(name: string): Promise<void> {
		this.#ledger.change(change => {
			this.#find(name);
			const held = this.#holdings(name);
			if (held.length > 0) {
				throw new KeelsonError('FAILED_PRECONDITION', `namespace ${JSON.stringify(name)} must be empty, but it still has ${held.join(', ')}`);
			}
			change.database.run('DELETE FROM lease WHERE namespace = ?', name);
			change.database.run('DELETE FROM ingest WHERE namespace = ?', name);
			change.database.run('DELETE FROM namespace WHERE name = ?', name);
			change.event(name, '/namespaces/delete', 'containerd.events.NamespaceDelete', {name});
			change.loosen();
		});
	}

	#holdings(name: string): readonly string[] {
		const {database} = this.#ledger;
		const held: string[] = HOLDINGS
			.filter(([, table]) => database.get(`SELECT 1 FROM ${table} WHERE namespace = ? LIMIT 1`, name) !== undefined)
			.map(([what]) => what);
		const snapshotters = database.all<{snapshotter: string}>('SELECT DISTINCT snapshotter FROM snapshot WHERE namespace = ? ORDER BY snapshotter', name);
		return [...held, ...snapshotters.map(({snapshotter}) => `snapshots on ${JSON.stringify(snapshotter)} snapshotter`)];
	}

	#find(name: string): NamespaceInfo {
		const row = this.#ledger.database.get<NamespaceRow>('SELECT * FROM namespace WHERE name = ?', name);
		if (row === undefined) {
			throw new KeelsonError('NOT_FOUND', `namespace ${JSON.stringify(name)}: not found`);
		}
		return infoOf(row);
	}
}

function infoOf({name, labels}: NamespaceRow): NamespaceInfo {
	return {name, labels: decodeLabels(labels)};
}
