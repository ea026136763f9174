import {setTimeout as sleep} from 'node:timers/promises';

const lookMs = 5;
/** A reader that takes nothing for so long is not there, or has lost interest. One on a busy machine may be kept from its processor for half of it. */
const stallMs = 1000;
/** However it goes on: one that takes a byte now and then keeps nobody else from the end. */
const takenMs = 10_000;

/**
 * Resolves when nothing waits any more, nothing was taken for a second, or after ten. `ctr`, and Go clients with it, look at a task's state before they delete it, and stop reading at once
 * where it has ended: what is still in a FIFO then, up to a megabyte, is lost to them. So an end is told only once a reader that reads has read.
 *
 * @param waiting bytes that wait to be read
 */
export async function untilTaken(waiting: () => number): Promise<void> {
	let least = waiting();
	const lateMs = performance.now() + takenMs;
	for (let sinceMs = performance.now(); least > 0 && performance.now() < Math.min(sinceMs + stallMs, lateMs);) {
		await sleep(lookMs, undefined, {ref: false});
		const now = waiting();
		if (now < least) {
			least = now;
			sinceMs = performance.now();
		}
	}
}
