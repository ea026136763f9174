import {setTimeout as sleep} from 'node:timers/promises';
import type {Frame} from './frame.ts';

const windowMs = 100;
/** A frame counts for one, and for one more for so much that it carries. */
const countedBytes = 64 * 1024;
/** One that sends all that it may for so long, and more, does not do so by the way. */
const floodWindows = 10;
/** Who sends nothing for so long has paused; this process may itself come late to read. */
const pauseMs = 1000;

/**
 * How fast one peer is read, so that one that floods its connection gets no more of this process than others: what it sends beyond that waits in its own socket.
 */
export class Pace {
	readonly #perWindow: number;
	readonly #flooded: () => void;
	/** Windows one after the other, up to the last, in which the peer had sent more than it may. */
	#fullWindows = 0;
	#left: number;
	#windowEndsMs = 0;

	/**
	 * @param framesPerSecond on the average; a tenth of it at once
	 * @param flooded called each time that a flood begins
	 */
	constructor(framesPerSecond: number, flooded: () => void = () => undefined) {
		this.#flooded = flooded;
		this.#perWindow = Math.max(1, framesPerSecond * windowMs / 1000);
		this.#left = this.#perWindow;
	}

	/** Whether the peer has sent more than it may for a second, and still does. */
	get isFlooding(): boolean {
		return this.#fullWindows >= floodWindows && performance.now() < this.#windowEndsMs + pauseMs;
	}

	/** Undefined where it may be taken at once; else to be waited for before the next is read. */
	taken({data}: Frame): Promise<void> | undefined {
		const nowMs = performance.now();
		if (nowMs >= this.#windowEndsMs) {
			this.#fullWindows = this.#left > 0 || nowMs >= this.#windowEndsMs + pauseMs ? 0 : this.#fullWindows + 1;
			if (this.#fullWindows === floodWindows) {
				this.#flooded();
			}
			this.#left = this.#perWindow;
			this.#windowEndsMs = nowMs + windowMs;
		}
		this.#left -= 1 + Math.floor(data.byteLength / countedBytes);
		return this.#left > 0 ? undefined : sleep(this.#windowEndsMs - nowMs);
	}
}
