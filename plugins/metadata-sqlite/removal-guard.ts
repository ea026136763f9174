/** Keeps the collector from removing from a bare store what a request is about to give a row, and the request from trusting what is going. */
export class RemovalGuard<Key extends string> {
	readonly #held = new Map<Key | undefined, number>();
	readonly #removals = new Map<Key, Promise<unknown>>();

	/** Resolves once no removal of `key` is under way (of any, when it is not known yet); none begins until what it answers is disposed. */
	async hold(key: Key | undefined): Promise<Disposable> {
		this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
		const running = [...this.#removals].filter(([removed]) => key === undefined || removed === key).map(([, removal]) => removal);
		await Promise.allSettled(running);
		return {
			[Symbol.dispose]: () => {
				const count = (this.#held.get(key) ?? 1) - 1;
				if (count === 0) {
					this.#held.delete(key);
				} else {
					this.#held.set(key, count);
				}
			},
		};
	}

	/** Runs `work` unless `key` is held; answers whether it ran. Whether it may go is decided right before, in the same turn. */
	async remove(key: Key, work: () => Promise<void>): Promise<boolean> {
		if (this.#held.has(key) || this.#held.has(undefined)) {
			return false;
		}
		const removal = work();
		this.#removals.set(key, removal);
		try {
			await removal;
			return true;
		} finally {
			this.#removals.delete(key);
		}
	}
}
