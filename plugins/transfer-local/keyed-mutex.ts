/** Runs what has the same key one after the other. A key nobody waits for is forgotten. */
export class KeyedMutex {
	readonly #tails = new Map<string, Promise<unknown>>();

	/** Waits for its turn, or for the signal. */
	async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		const before = this.#tails.get(key);
		const turn = (async () => {
			await before?.catch(() => undefined);
			signal.throwIfAborted();
			return work();
		})();
		this.#tails.set(key, turn);
		try {
			return await turn;
		} finally {
			if (this.#tails.get(key) === turn) {
				this.#tails.delete(key);
			}
		}
	}
}
