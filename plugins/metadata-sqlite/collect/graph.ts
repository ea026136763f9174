import type {Database} from '../../../lib/sqlite/database.ts';
import type {Digest} from '../../../contracts/oci/digest.ts';
import {findContent, findIngest} from '../content/content-rows.ts';
import {decodeLabels} from '../labels.ts';
import {findSnapshot} from '../snapshot/snapshot-rows.ts';
import {flat, nodeOf, partsOf, snapshotOf, type Node} from './node.ts';
import {concernsCollection, referencesOf} from './references.ts';

/** What `node` keeps alive by its row: its labels, and what it is made of. Nothing when it has no row. */
export function outgoing(database: Database, node: Node): readonly Node[] {
	const {kind, namespace, key, isFlat} = partsOf(node);
	const along = (target: Node): Node => isFlat ? flat(target) : target;
	switch (kind) {
		case 'content': {
			const row = findContent(database, namespace, key as Digest);
			return labelled(namespace, row, isFlat);
		}
		case 'snapshot': {
			const {snapshotter, name} = snapshotOf(key);
			const row = findSnapshot(database, namespace, snapshotter, name);
			const parent = row === undefined || row.parent === '' ? [] : [along(nodeOf('snapshot', namespace, `${snapshotter}/${row.parent}`))];
			return [...parent, ...labelled(namespace, row, isFlat)];
		}
		case 'image': {
			const row = database.get<{labels: string; digest: string}>('SELECT labels, digest FROM image WHERE namespace = ? AND name = ?', namespace, key);
			return row === undefined ? [] : [along(nodeOf('content', namespace, row.digest)), ...labelled(namespace, row, isFlat)];
		}
		case 'ingest': {
			const row = findIngest(database, namespace, key);
			return row === undefined || row.expected === null ? [] : [nodeOf('content', namespace, row.expected)];
		}
		case 'container': {
			const row = database.get<{labels: string; snapshotter: string; snapshot_key: string}>(
				'SELECT labels, snapshotter, snapshot_key FROM container WHERE namespace = ? AND id = ?', namespace, key,
			);
			const snapshot = row === undefined || row.snapshotter === '' ? [] : [nodeOf('snapshot', namespace, `${row.snapshotter}/${row.snapshot_key}`)];
			return [...snapshot, ...labelled(namespace, row, false)];
		}
		case 'lease': {
			return leased(database, namespace, key, isFlat);
		}
		case 'mount':
		case 'stream': {
			return [];
		}
	}
}

function labelled(namespace: string, row: {readonly labels: string} | undefined, isFlat: boolean): readonly Node[] {
	return row === undefined || isFlat || !concernsCollection(row.labels) ? [] : referencesOf(namespace, decodeLabels(row.labels));
}

function leased(database: Database, namespace: string, lease: string, isFlat: boolean): readonly Node[] {
	const resources = database.all<{type: string; id: string}>('SELECT type, id FROM lease_resource WHERE namespace = ? AND lease = ?', namespace, lease);
	return resources.map(({type, id}) => {
		const node = type === 'content' ? nodeOf('content', namespace, id)
			: type === 'ingests' ? nodeOf('ingest', namespace, id)
			: type === 'images' ? nodeOf('image', namespace, id)
			: nodeOf('snapshot', namespace, `${type.slice('snapshots/'.length)}/${id}`);
		return isFlat && type !== 'ingests' ? flat(node) : node;
	});
}
