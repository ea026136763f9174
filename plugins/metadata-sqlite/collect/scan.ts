import type {Database} from '../../../lib/sqlite/database.ts';
import {outgoing} from './graph.ts';
import {inventory} from './inventory.ts';
import type {Node} from './node.ts';
import type {Pace} from './pace.ts';
import {Reach} from './reach.ts';

export interface Scan {
	readonly reach: Reach;
	/** What may be removed, if it is not reached when its turn comes. Snapshots' children come before their parents. */
	readonly candidates: readonly Node[];
	/** When something expires next, in milliseconds since 1970. */
	readonly nextExpiry?: number;
}

/** Marks what the roots reach, in as many turns of the event loop as it takes; what changes meanwhile is the barrier's to know. */
export async function scan(database: Database, now: number, pace: Pace): Promise<Scan> {
	const kept = new Map<Node, Node[]>();
	const reach = new Reach(node => outgoing(database, node), kept);
	const collectable: Node[] = [];
	let nextExpiry = Number.POSITIVE_INFINITY;
	for (const items of inventory(database, now)) {
		for (const {node, isCollectable, roots, keepers, expiresAt = nextExpiry} of items) {
			if (isCollectable) {
				collectable.push(node);
			}
			for (const keeper of keepers) {
				kept.set(keeper, [...kept.get(keeper) ?? [], node]);
			}
			reach.add(roots);
			nextExpiry = Math.min(nextExpiry, expiresAt);
		}
		await pace.breathe();
	}
	while (reach.step()) {
		await pace.breathe();
	}
	const candidates = collectable.filter(node => !reach.has(node));
	return {reach, candidates, ...(Number.isFinite(nextExpiry) ? {nextExpiry} : {})};
}
