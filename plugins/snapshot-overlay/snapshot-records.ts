import type {Labels} from '../../contracts/oci/labels.ts';
import type {SnapshotInfo, SnapshotKind, SnapshotUsage} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {Database, type Row} from '../../lib/sqlite/database.ts';

/** A snapshot as it is kept: what clients see, and the number that names its directory. */
export interface SnapshotRecord {
	readonly id: number;
	readonly info: SnapshotInfo;
	/** Of a committed one that was measured: it does not change any more. */
	readonly usage: SnapshotUsage | undefined;
}

export interface NewSnapshot {
	readonly id: number;
	readonly name: string;
	readonly kind: Exclude<SnapshotKind, 'committed'>;
	readonly parent: string;
	readonly labels: Labels;
}

export interface CommittedSnapshot {
	/** Of the active snapshot that was synced: another one with its key must not be committed for it. */
	readonly id: number;
	readonly name: string;
	readonly key: string;
	/** Empty: stay on the parent that it was prepared with. */
	readonly parent: string;
	readonly labels: Labels;
}

/** Names, kinds, parents, labels, times and usage of snapshots. Each change is one transaction, durable when its method returns. */
export class SnapshotRecords implements Disposable {
	readonly #database: Database;

	/** Opens the file, or makes it. Rejects as Database does. */
	constructor(path: string) {
		this.#database = new Database({path, migrations});
	}

	[Symbol.dispose](): void {
		this.#database[Symbol.dispose]();
	}

	find(name: string): SnapshotRecord | undefined {
		const row = this.#database.get(`${selectSnapshots} WHERE s.name = ?`, name);
		return row === undefined ? undefined : toRecord(row);
	}

	/** Rejects with NOT_FOUND. */
	get(name: string): SnapshotRecord {
		const record = this.find(name);
		if (record === undefined) {
			throw new KeelsonError('NOT_FOUND', `snapshot ${JSON.stringify(name)} does not exist`);
		}
		return record;
	}

	/** A committed snapshot that may be a parent. Rejects with NOT_FOUND, INVALID_ARGUMENT. */
	getParent(name: string): SnapshotRecord {
		const parent = this.find(name);
		if (parent === undefined) {
			throw new KeelsonError('NOT_FOUND', `parent snapshot ${JSON.stringify(name)} does not exist`);
		}
		if (parent.info.kind !== 'committed') {
			throw new KeelsonError('INVALID_ARGUMENT', `parent snapshot ${JSON.stringify(name)} is ${parent.info.kind}, expected committed`);
		}
		return parent;
	}

	/** The ids of a snapshot's parents, the nearest first. */
	parentIds(id: number): readonly number[] {
		const rows = this.#database.all(`
			WITH RECURSIVE chain (id, parent, step) AS (
				SELECT id, parent, 0 FROM snapshots WHERE id = ?
				UNION ALL
				SELECT s.id, s.parent, step + 1 FROM snapshots s JOIN chain c ON s.id = c.parent
			)
			SELECT id FROM chain WHERE step > 0 ORDER BY step`, id);
		return rows.map(row => Number(row['id']));
	}

	/** Rejects with ALREADY_EXISTS, and as getParent does. */
	insert({id, name, kind, parent, labels}: NewSnapshot): void {
		this.#database.transaction(() => {
			this.checkFree(name);
			const parentId = parent === '' ? null : this.getParent(parent).id;
			const now = Date.now();
			this.#database.run(`INSERT INTO snapshots (id, name, kind, parent, labels, created, updated)
				VALUES (?, ?, ?, ?, ?, ?, ?)`, id, name, kind, parentId, JSON.stringify(labels), now, now);
		});
	}

	/** Rejects with ALREADY_EXISTS. */
	checkFree(name: string): void {
		if (this.find(name) !== undefined) {
			throw new KeelsonError('ALREADY_EXISTS', `snapshot ${JSON.stringify(name)} already exists`);
		}
	}

	/** What commit demands, without doing it. Rejects with ALREADY_EXISTS, NOT_FOUND, FAILED_PRECONDITION, INVALID_ARGUMENT. */
	checkCommit(name: string, key: string, parent: string): SnapshotRecord {
		this.checkFree(name);
		const active = this.get(key);
		if (active.info.kind !== 'active') {
			throw new KeelsonError('FAILED_PRECONDITION', `snapshot ${JSON.stringify(key)} is ${active.info.kind}, expected active`);
		}
		if (parent !== '' && active.info.parent !== '' && parent !== active.info.parent) {
			throw new KeelsonError('INVALID_ARGUMENT', `snapshot ${JSON.stringify(key)} has the parent ${JSON.stringify(active.info.parent)}, it cannot be committed on ${JSON.stringify(parent)}`);
		}
		if (parent !== '') {
			this.getParent(parent);
		}
		return active;
	}

	/** Rejects as checkCommit does; NOT_FOUND when `key` is another snapshot by now. */
	commit({id, name, key, parent, labels}: CommittedSnapshot): void {
		this.#database.transaction(() => {
			const active = this.checkCommit(name, key, parent);
			if (active.id !== id) {
				throw new KeelsonError('NOT_FOUND', `snapshot ${JSON.stringify(key)} was removed while it was being committed`);
			}
			const parentName = parent === '' ? active.info.parent : parent;
			const parentId = parentName === '' ? null : this.getParent(parentName).id;
			const now = Date.now();
			this.#database.run(`UPDATE snapshots SET name = ?, kind = 'committed', parent = ?, labels = ?,
				created = ?, updated = ?, size = 0, inodes = ? WHERE id = ?`,
			name, parentId, JSON.stringify(labels), now, now, notMeasured, id);
		});
	}

	/** Of a committed snapshot, found out when somebody asked. One that is gone is none. */
	setUsage(id: number, {size, inodes}: SnapshotUsage): void {
		this.#database.run('UPDATE snapshots SET size = ?, inodes = ? WHERE id = ?', size, inodes, id);
	}

	/** Rejects with NOT_FOUND. */
	setLabels(name: string, change: (labels: Labels) => Labels): SnapshotRecord {
		return this.#database.transaction(() => {
			const {id, info} = this.get(name);
			this.#database.run('UPDATE snapshots SET labels = ?, updated = ? WHERE id = ?', JSON.stringify(change(info.labels)), Date.now(), id);
			return this.get(name);
		});
	}

	/** Rejects with NOT_FOUND; FAILED_PRECONDITION while it has children. */
	remove(name: string): SnapshotRecord {
		return this.#database.transaction(() => {
			const record = this.get(name);
			const child = this.#database.get('SELECT name FROM snapshots WHERE parent = ? LIMIT 1', record.id);
			if (child !== undefined) {
				throw new KeelsonError('FAILED_PRECONDITION', `cannot remove snapshot ${JSON.stringify(name)}: it has the child ${JSON.stringify(child['name'])}`);
			}
			this.#database.run('DELETE FROM snapshots WHERE id = ?', record.id);
			return record;
		});
	}

	/** By name, at most `limit` of those after `name`. */
	page(name: string, limit: number): readonly SnapshotRecord[] {
		return this.#database.all(`${selectSnapshots} WHERE s.name > ? ORDER BY s.name LIMIT ?`, name, limit).map(toRecord);
	}

	ids(): ReadonlySet<number> {
		return new Set(this.#database.all('SELECT id FROM snapshots').map(row => Number(row['id'])));
	}

	/** The highest id that ever was; ids do not come again. */
	highestId(): number {
		return Number(this.#database.get("SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'")?.['seq'] ?? 0);
	}
}

const migrations = [`
	CREATE TABLE snapshots (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		name TEXT NOT NULL UNIQUE,
		kind TEXT NOT NULL CHECK (kind IN ('active', 'view', 'committed')),
		parent INTEGER REFERENCES snapshots (id),
		labels TEXT NOT NULL,
		created INTEGER NOT NULL,
		updated INTEGER NOT NULL,
		size INTEGER NOT NULL DEFAULT 0,
		inodes INTEGER NOT NULL DEFAULT 0
	) STRICT;
	CREATE INDEX snapshots_by_parent ON snapshots (parent);
`];

/** Instead of a number of inodes: a tree is walked through when somebody asks, not while an image is unpacked. */
const notMeasured = -1;

const selectSnapshots = `SELECT s.*, coalesce(p.name, '') AS parent_name FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent`;

function toRecord(row: Row): SnapshotRecord {
	return {
		id: Number(row['id']),
		info: {
			name: String(row['name']),
			parent: String(row['parent_name']),
			kind: row['kind'] as SnapshotKind,
			createdAt: new Date(Number(row['created'])),
			updatedAt: new Date(Number(row['updated'])),
			labels: JSON.parse(String(row['labels'])) as Labels,
		},
		usage: row['kind'] !== 'committed' || Number(row['inodes']) === notMeasured ? undefined : {size: Number(row['size']), inodes: Number(row['inodes'])},
	};
}
