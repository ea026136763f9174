import {setImmediate as nextTurn} from 'node:timers/promises';

/** How long the event loop may be kept from others. */
const TURN_MS = 5;

/** Lets others work whenever a turn's time is used up. Rejects when `signal` aborts. */
export class Pace {
	readonly #signal: AbortSignal | undefined;
	#since = performance.now();

	constructor(signal: AbortSignal | undefined) {
		this.#signal = signal;
	}

	async breathe(): Promise<void> {
		this.#signal?.throwIfAborted();
		if (performance.now() - this.#since > TURN_MS) {
			await nextTurn();
			this.#since = performance.now();
		}
	}
}
