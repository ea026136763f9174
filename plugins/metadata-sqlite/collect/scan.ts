import type {CollectibleResource} from '../../../contracts/metadata/collectible.ts';
import type {Database} from '../../../lib/sqlite/database.ts';
import {outgoing} from './graph.ts';
import {inventory} from './inventory.ts';
import {partsOf, type Node, type NodeKind} from './node.ts';
import type {Pace} from './pace.ts';
import {Reach} from './reach.ts';
import {referrersFirst} from './referrers-first.ts';

export interface Scan {
	readonly reach: Reach;
	/** What may be removed, if it is not reached when its turn comes. What refers to another comes before it, snapshots' children before their parents. */
	readonly candidates: readonly Node[];
	/** How what has no row here is condemned. */
	readonly condemn: ReadonlyMap<Node, () => void>;
	/** When something expires next, in milliseconds since 1970. */
	readonly nextExpiry?: number;
}

/** Marks what the roots reach, in as many turns of the event loop as it takes; what changes meanwhile is the barrier's to know. */
export async function scan(database: Database, resources: readonly CollectibleResource[], pace: Pace): Promise<Scan> {
	const kept = new Map<Node, Node[]>();
	const reach = new Reach(node => outgoing(database, node), kept);
	const collectable: Node[] = [];
	const condemn = new Map<Node, () => void>();
	let nextExpiry = Number.POSITIVE_INFINITY;
	for (const items of inventory(database, resources, Date.now())) {
		for (const {node, isCollectable, roots, keepers, expiresAt = nextExpiry, condemn: how} of items) {
			if (how !== undefined) {
				condemn.set(node, how);
			}
			if (isCollectable) {
				collectable.push(node);
			}
			for (const keeper of keepers) {
				const clinging = kept.get(keeper) ?? [];
				clinging.push(node);
				kept.set(keeper, clinging);
			}
			reach.add(roots);
			nextExpiry = Math.min(nextExpiry, expiresAt);
		}
		await pace.breathe();
	}
	while (reach.step()) {
		await pace.breathe();
	}
	const unreached = collectable.filter(node => !reach.has(node));
	// The inventory has leases and images before content, and snapshots after it, children before parents; blobs alone refer to each other at random.
	const {lead = [], content = [], rest = []} = Object.groupBy(unreached, node => placeOf(partsOf(node).kind));
	const ordered = await referrersFirst(content, node => [...outgoing(database, node), ...kept.get(node) ?? []], pace);
	const candidates = [...lead, ...ordered, ...rest];
	return {reach, candidates, condemn, ...(Number.isFinite(nextExpiry) ? {nextExpiry} : {})};
}

function placeOf(kind: NodeKind): 'lead' | 'content' | 'rest' {
	return kind === 'lease' || kind === 'image' ? 'lead' : kind === 'content' ? kind : 'rest';
}
