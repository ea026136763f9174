import {setTimeout as sleep} from 'node:timers/promises';
import type {Frame} from './frame.ts';

const windowMs = 100;
/** A frame counts for one, and for one more for so much that it carries. */
const countedBytes = 64 * 1024;

/**
 * How fast one peer is read, so that one that floods its connection gets no more of this process than others: what it sends beyond that waits in its own socket.
 */
export class Pace {
	readonly #perWindow: number;
	#left: number;
	#windowEndsMs = 0;

	/** @param framesPerSecond on the average; a tenth of it at once */
	constructor(framesPerSecond: number) {
		this.#perWindow = Math.max(1, framesPerSecond * windowMs / 1000);
		this.#left = this.#perWindow;
	}

	/** Undefined where it may be taken at once; else to be waited for before the next is read. */
	taken({data}: Frame): Promise<void> | undefined {
		const nowMs = performance.now();
		if (nowMs >= this.#windowEndsMs) {
			this.#left = this.#perWindow;
			this.#windowEndsMs = nowMs + windowMs;
		}
		this.#left -= 1 + Math.floor(data.byteLength / countedBytes);
		return this.#left > 0 ? undefined : sleep(this.#windowEndsMs - nowMs);
	}
}
