import {untilAborted} from '../../lib/abort/until-aborted.ts';

/** Runs what has the same key one after the other. A key nobody waits for is forgotten. */
export class KeyedMutex {
	readonly #tails = new Map<string, Promise<void>>();

	/** Waits for its turn, or for the signal: then it leaves the queue at once, and those behind it still wait for those before it. */
	async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		const before = this.#tails.get(key) ?? Promise.resolve();
		const {promise: done, resolve} = Promise.withResolvers<void>();
		const turn = (async () => {
			await before;
			await done;
		})();
		this.#tails.set(key, turn);
		try {
			await untilAborted(before, signal);
			return await work();
		} finally {
			resolve();
			void turn.then(() => {
				if (this.#tails.get(key) === turn) {
					this.#tails.delete(key);
				}
			});
		}
	}

	/** How many keys are held or waited for. */
	get size(): number {
		return this.#tails.size;
	}
}
