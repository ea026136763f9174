import type {CollectibleItem, CollectibleResource} from '../../../contracts/metadata/collectible.ts';
import type {Database} from '../../../lib/sqlite/database.ts';
import type {Labels} from '../../../contracts/oci/labels.ts';
import {decodeLabels} from '../labels.ts';
import {flat, nodeOf, type Node} from './node.ts';
import {backReferencesOf, concernsCollection, expiryOf, isFlat, isRoot, referencesOf} from './references.ts';

/** One row, as the collector sees it. */
export interface Item {
	readonly node: Node;
	/** Whether it may be removed when nothing reaches it; containers and sandboxes are only ever roots. */
	readonly isCollectable: boolean;
	/** What is alive because of it alone, itself included. */
	readonly roots: readonly Node[];
	/** What keeps it alive, said by itself. */
	readonly keepers: readonly Node[];
	/** When what it is worth changes by itself, in milliseconds since 1970. */
	readonly expiresAt?: number;
	/** Of what has no row here: told when it goes. */
	readonly condemn?: () => void;
}

interface LabelledRow {
	readonly namespace: string;
	readonly key: string;
	readonly labels: string;
}

const PAGE = 200;

/**
 * Every row of every namespace, a page per step, so that whoever reads may let others work between two pages. A row that is written meanwhile
 * may be missed: the barrier has it.
 */
export function* inventory(database: Database, resources: readonly CollectibleResource[], now: number): Iterable<readonly Item[]> {
	// First: what is made from now on is not among them.
	for (const {kind, list} of resources.map(resource => ({kind: resource.kind, list: resource.list()}))) {
		yield list.map(item => collectibleItem(kind, item, now));
	}
	yield* pages(database, 'lease', 'id', row => leaseItem(row, now));
	yield* pages(database, 'image', 'name', row => imageItem(row, now));
	yield* pages(database, 'container', 'id', row => ({...itemOf('container', row), isCollectable: false, roots: [nodeOf('container', row.namespace, row.key)]}));
	yield* pages(database, 'sandbox', 'id', row => ({...itemOf('container', row), isCollectable: false, roots: referencesOf(row.namespace, labelsOf(row)), keepers: []}));
	yield* pages(database, 'content', 'digest', row => labelledItem('content', row, now));
	yield* ingestPages(database, now);
	yield* snapshotPages(database, now);
}

function* pages(database: Database, table: 'lease' | 'image' | 'container' | 'sandbox' | 'content', column: string, read: (row: LabelledRow) => Item): Iterable<readonly Item[]> {
	const sql = `SELECT namespace, ${column} AS key, labels FROM ${table} WHERE (namespace, ${column}) > (?, ?) ORDER BY namespace, ${column} LIMIT ?`;
	let after: readonly [namespace: string, key: string] = ['', ''];
	for (;;) {
		const rows = database.all<LabelledRow>(sql, ...after, PAGE);
		yield rows.map(row => read(row));
		const end = rows.at(-1);
		if (end === undefined || rows.length < PAGE) {
			return;
		}
		after = [end.namespace, end.key];
	}
}

function* ingestPages(database: Database, now: number): Iterable<readonly Item[]> {
	let after: readonly [namespace: string, ref: string] = ['', ''];
	for (;;) {
		const rows = database.all<{namespace: string; ref: string; expires_at: number}>(
			'SELECT namespace, ref, expires_at FROM ingest WHERE (namespace, ref) > (?, ?) ORDER BY namespace, ref LIMIT ?', ...after, PAGE,
		);
		yield rows.map(({namespace, ref, expires_at}) => {
			const node = nodeOf('ingest', namespace, ref);
			return {node, isCollectable: true, keepers: [], ...(expires_at > now ? {roots: [node], expiresAt: expires_at} : {roots: []})};
		});
		const end = rows.at(-1);
		if (end === undefined || rows.length < PAGE) {
			return;
		}
		after = [end.namespace, end.ref];
	}
}

// Newest first, so that a child's row never outlives its parent's.
function* snapshotPages(database: Database, now: number): Iterable<readonly Item[]> {
	let below = Number.MAX_SAFE_INTEGER;
	for (;;) {
		const rows = database.all<LabelledRow & {number: number}>(
			"SELECT number, namespace, snapshotter || '/' || name AS key, labels FROM snapshot WHERE number < ? ORDER BY number DESC LIMIT ?", below, PAGE,
		);
		yield rows.map(row => labelledItem('snapshot', row, now));
		const end = rows.at(-1);
		if (end === undefined || rows.length < PAGE) {
			return;
		}
		below = end.number;
	}
}

function leaseItem(row: LabelledRow, now: number): Item {
	const node = nodeOf('lease', row.namespace, row.key);
	const labels = labelsOf(row);
	const expiresAt = expiryOf(labels);
	if (expiresAt !== undefined && expiresAt <= now) {
		return {node, isCollectable: true, roots: [], keepers: []};
	}
	return {node, isCollectable: true, roots: [isFlat(labels) ? flat(node) : node], keepers: [], ...(expiresAt === undefined ? {} : {expiresAt})};
}

function imageItem(row: LabelledRow, now: number): Item {
	const item = itemOf('image', row);
	const expiresAt = expiryOf(labelsOf(row));
	return expiresAt !== undefined && expiresAt <= now ? item : {...item, roots: [item.node], ...(expiresAt === undefined ? {} : {expiresAt})};
}

// Not a root by nature: a label makes it one, for good or until it expires.
function labelledItem(kind: 'content' | 'snapshot', row: LabelledRow, now: number): Item {
	const item = itemOf(kind, row);
	const labels = labelsOf(row);
	const expiresAt = expiryOf(labels);
	const lasts = expiresAt !== undefined && expiresAt > now;
	return {...item, roots: isRoot(labels) || lasts ? [item.node] : [], ...(lasts ? {expiresAt} : {})};
}

function collectibleItem(kind: CollectibleResource['kind'], given: CollectibleItem, now: number): Item {
	const {namespace, id, labels, lease} = given;
	const node = nodeOf(kind, namespace, id);
	const expiresAt = expiryOf(labels);
	const lasts = expiresAt !== undefined && expiresAt > now;
	return {
		node, isCollectable: true, roots: isRoot(labels) || lasts ? [node] : [],
		keepers: [...backReferencesOf(namespace, labels), ...(lease === undefined ? [] : [nodeOf('lease', namespace, lease)])],
		condemn: () => given.condemn(),
		...(lasts ? {expiresAt} : {}),
	};
}

function itemOf(kind: 'content' | 'snapshot' | 'image' | 'container', row: LabelledRow): Item {
	return {node: nodeOf(kind, row.namespace, row.key), isCollectable: true, roots: [], keepers: backReferencesOf(row.namespace, labelsOf(row))};
}

function labelsOf({labels}: LabelledRow): Labels {
	return concernsCollection(labels) ? decodeLabels(labels) : {};
}
