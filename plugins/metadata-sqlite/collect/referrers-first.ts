import type {Node} from './node.ts';
import type {Pace} from './pace.ts';

/**
 * `nodes` in an order in which whatever refers to another of them comes before it, so that while they are removed one by one, what is still there
 * has all that it refers to. A circle is cut open somewhere.
 */
export async function referrersFirst(nodes: readonly Node[], targetsOf: (node: Node) => readonly Node[], pace: Pace): Promise<readonly Node[]> {
	const among = new Set(nodes);
	const begun = new Set<Node>();
	const done = new Set<Node>();
	for (const start of nodes) {
		const path = [start];
		for (let node = path.at(-1); node !== undefined; node = path.at(-1)) {
			if (begun.has(node)) {
				done.add(node);
				path.pop();
			} else {
				begun.add(node);
				path.push(...targetsOf(node).filter(target => among.has(target) && !begun.has(target)));
				await pace.breathe();
			}
		}
	}
	return [...done].toReversed();
}
