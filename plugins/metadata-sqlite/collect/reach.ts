import type {Node} from './node.ts';

/** What is reached so far. Flat and full are two ways to reach the same thing, and either keeps it. */
export class Reach {
	readonly #outgoing: (node: Node) => readonly Node[];
	readonly #kept: ReadonlyMap<Node, readonly Node[]>;
	readonly #seen = new Set<Node>();
	readonly #waiting: Node[] = [];

	/** `kept` says of a node which others it keeps because they say so themselves. */
	constructor(outgoing: (node: Node) => readonly Node[], kept: ReadonlyMap<Node, readonly Node[]>) {
		this.#outgoing = outgoing;
		this.#kept = kept;
	}

	has(node: Node): boolean {
		return this.#seen.has(node) || this.#seen.has(`!${node}`);
	}

	add(nodes: Iterable<Node>): void {
		for (const node of nodes) {
			if (!this.#seen.has(node)) {
				this.#seen.add(node);
				this.#waiting.push(node);
			}
		}
	}

	/** Adds `nodes`, and follows them once more if they were: what they refer to may have changed. */
	again(nodes: Iterable<Node>): void {
		for (const node of nodes) {
			this.#seen.add(node);
			this.#waiting.push(node);
		}
	}

	/** Follows one node that was added; false when there is none left. */
	step(): boolean {
		const node = this.#waiting.pop();
		if (node === undefined) {
			return false;
		}
		this.add(this.#outgoing(node));
		this.add(this.#kept.get(node.startsWith('!') ? node.slice(1) : node) ?? []);
		return true;
	}
}
