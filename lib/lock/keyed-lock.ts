/** One holder per key at a time, in the order of asking. A holder is a live request, so a lock ends with it. */
export class KeyedLock {
	readonly #tails = new Map<string, Promise<void>>();

	/** Resolves once no earlier asker holds any of `keys`; they are free again when it is disposed. */
	async hold(...keys: readonly string[]): Promise<Disposable> {
		const {promise, resolve} = Promise.withResolvers<void>();
		const earlier = keys.map(key => this.#tails.get(key)).filter(tail => tail !== undefined);
		// All keys are queued for in one turn, so that two who want the same two can never wait for each other.
		for (const key of keys) {
			this.#tails.set(key, promise);
		}
		await Promise.all(earlier);
		return {
			[Symbol.dispose]: () => {
				for (const key of keys) {
					if (this.#tails.get(key) === promise) {
						this.#tails.delete(key);
					}
				}
				resolve();
			},
		};
	}
}
