import type {Node} from './node.ts';

/**
 * What a collection must not take although its scan did not reach it: what changed since (*touched*), and what a request in flight is about to
 * build on (*pinned*). A scan may be spread over many turns of the event loop because of this: nothing becomes reachable but by a change.
 */
export class Barrier {
	readonly #touched = new Set<Node>();
	readonly #pins = new Map<Node, number>();
	#isWatching = false;

	/** From now on touches are kept until they are taken. */
	watch(): Disposable {
		this.#isWatching = true;
		return {
			[Symbol.dispose]: () => {
				this.#isWatching = false;
				this.#touched.clear();
			},
		};
	}

	/** `node` was made, or what it refers to has changed. */
	touch(node: Node): void {
		if (this.#isWatching) {
			this.#touched.add(node);
		}
	}

	/** Keeps `node` and what it reaches until disposed. */
	pin(node: Node): Disposable {
		this.#pins.set(node, (this.#pins.get(node) ?? 0) + 1);
		let isHeld = true;
		return {
			[Symbol.dispose]: () => {
				const count = this.#pins.get(node) ?? 0;
				if (isHeld && count > 1) {
					this.#pins.set(node, count - 1);
				} else if (isHeld) {
					this.#pins.delete(node);
				}
				isHeld = false;
			},
		};
	}

	/** What must be kept now: everything touched since the last time, everything pinned. */
	take(): readonly Node[] {
		const nodes = [...this.#touched, ...this.#pins.keys()];
		this.#touched.clear();
		return nodes;
	}
}
