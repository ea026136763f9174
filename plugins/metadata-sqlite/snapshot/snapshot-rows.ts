import type {SnapshotInfo} from '../../../contracts/snapshot/snapshot.ts';
import type {Labels} from '../../../contracts/oci/labels.ts';
import type {Database} from '../../../lib/sqlite/database.ts';
import {decodeLabels} from '../labels.ts';

export interface SnapshotRow {
	readonly number: number;
	readonly name: string;
	/** Its key or name in the bare snapshotter. */
	readonly backend: string;
	/** A name of the same namespace, empty when there is none. */
	readonly parent: string;
	readonly labels: string;
	readonly created_at: number;
	readonly updated_at: number;
}

export function findSnapshot(database: Database, namespace: string, snapshotter: string, name: string): SnapshotRow | undefined {
	return database.get<SnapshotRow>('SELECT * FROM snapshot WHERE namespace = ? AND snapshotter = ? AND name = ?', namespace, snapshotter, name);
}

export function hasChildren(database: Database, namespace: string, snapshotter: string, name: string): boolean {
	return database.get('SELECT 1 FROM snapshot WHERE namespace = ? AND snapshotter = ? AND parent = ? LIMIT 1', namespace, snapshotter, name) !== undefined;
}

/** What the namespace knows, over what the bare snapshotter says: its kind, and labels that it adds itself. */
export function snapshotInfo(row: SnapshotRow, bare: SnapshotInfo): SnapshotInfo {
	return {
		name: row.name,
		parent: row.parent,
		kind: bare.kind,
		labels: {...bare.labels, ...decodeLabels(row.labels)},
		createdAt: new Date(row.created_at),
		updatedAt: new Date(row.updated_at),
	};
}

/** Whether a label is the bare snapshotter's business too. */
export function isInherited(key: string): boolean {
	return key === 'containerd.io/snapshot.ref' || key.startsWith('containerd.io/snapshot/');
}

export function inheritedLabels(labels: Labels): Labels {
	return Object.fromEntries(Object.entries(labels).filter(([key]) => isInherited(key)));
}

export function snapshotField({kind, name, parent, labels}: SnapshotInfo, [field, key = '']: readonly string[]): string | undefined {
	switch (field) {
		case 'kind': {
			return kind;
		}
		case 'name': {
			return name;
		}
		case 'parent': {
			return parent === '' ? undefined : parent;
		}
		case 'labels': {
			return Object.hasOwn(labels, key) ? labels[key] : undefined;
		}
		case undefined:
		default: {
			return undefined;
		}
	}
}
