import {setImmediate as nextTurn} from 'node:timers/promises';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

/** Does `work` for every item, at most `concurrency` at once. The first failure aborts the others, which are waited for. */
export async function forEachLimited<T>(items: readonly T[], {concurrency, signal}: {concurrency: number; signal: AbortSignal}, work: (item: T, signal: AbortSignal) => Promise<void>): Promise<void> {
	const failing = new AbortController();
	const inner = AbortSignal.any([signal, failing.signal]);
	const queue = items.values();
	const failures: unknown[] = [];
	const worker = async (): Promise<void> => {
		for (const item of queue) {
			try {
				inner.throwIfAborted();
				await work(item, inner);
			} catch (error) {
				failures.push(error);
				failing.abort(error);
				return;
			}
		}
	};
	const workers: Promise<void>[] = [];
	for (let count = Math.min(concurrency, items.length); count > 0; count--) {
		workers.push(worker());
		// What each begins with is short, and all of it together is not: calls of clients come between.
		await nextTurn();
	}
	await Promise.all(workers);
	if (failures.length > 0) {
		throw failures[0];
	}
}

/** Lets so many be at work at once; others wait, and come in their order. */
export class Slots {
	#free: number;
	readonly #waiting = new Set<() => void>();

	constructor(count: number) {
		this.#free = count;
	}

	/** Rejects as the work does, and with the signal's reason while it waits. */
	async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		await this.#take(signal);
		try {
			return await work();
		} finally {
			this.#give();
		}
	}

	async #take(signal: AbortSignal): Promise<void> {
		signal.throwIfAborted();
		if (this.#free > 0) {
			this.#free--;
			return;
		}
		const {promise, resolve} = Promise.withResolvers<void>();
		this.#waiting.add(resolve);
		try {
			await untilAborted(promise, signal);
		} catch (error) {
			if (!this.#waiting.delete(resolve)) {
				// It was given one at the same moment.
				this.#give();
			}
			throw error;
		}
	}

	#give(): void {
		const [next] = this.#waiting;
		if (next === undefined) {
			this.#free++;
			return;
		}
		this.#waiting.delete(next);
		next();
	}
}
