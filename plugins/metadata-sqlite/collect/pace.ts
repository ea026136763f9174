import {setImmediate as nextTurn} from 'node:timers/promises';

/** Lets others work whenever a turn of `turnMs` is used up. Rejects when `signal` aborts. */
export class Pace {
	readonly #signal: AbortSignal;
	readonly #turnMs: number;
	#since = performance.now();

	constructor(signal: AbortSignal, turnMs: number) {
		this.#turnMs = turnMs;
		this.#signal = signal;
	}

	async breathe(): Promise<void> {
		this.#signal.throwIfAborted();
		if (performance.now() - this.#since >= this.#turnMs) {
			await nextTurn();
			this.#since = performance.now();
		}
	}
}
