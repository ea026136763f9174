import type {Stream} from '../../contracts/stream/stream.ts';
import type {Any} from '../../contracts/oci/any.ts';
import {Lane} from './lane.ts';

/**
 * The two ends of a stream: what one sends, the other receives.
 *
 *     outer (the connection)  ── there ──►  inner (who was named it)
 *                             ◄── back ───
 *
 * Disposing inner ends what it sends; what the connection still sends is then dropped. Disposing outer ends both ways.
 */
export class StreamPair {
	readonly outer: Stream;
	readonly #inner: Stream;
	#isTaken = false;

	constructor(id: string, onEnd: () => void) {
		const there = new Lane<Any>(id);
		const back = new Lane<Any>(id);
		this.outer = {
			id,
			receive: async signal => back.receive(signal),
			send: async (message, signal) => there.send(message, signal),
			async [Symbol.asyncDispose]() {
				there.end();
				back.abandon();
				onEnd();
			},
		};
		this.#inner = {
			id,
			receive: async signal => there.receive(signal),
			send: async (message, signal) => back.send(message, signal),
			async [Symbol.asyncDispose]() {
				back.end();
				there.abandon();
			},
		};
	}

	/** Whether anybody has asked for the inner end. */
	get isTaken(): boolean {
		return this.#isTaken;
	}

	take(): Stream {
		this.#isTaken = true;
		return this.#inner;
	}
}
