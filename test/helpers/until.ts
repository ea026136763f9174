import {setTimeout as sleep} from 'node:timers/promises';

export interface UntilOptions {
	/** Default 30,000: longer than it takes where other programs have the processors for seconds. */
	readonly timeoutMs?: number;
	/** Default 20. */
	readonly everyMs?: number;
}

/** Asks again until the answer is neither undefined nor false, and resolves with it. Rejects, naming what was waited for, when it does not come in time. */
export async function until<T>(what: string, ask: () => T | undefined | false | Promise<T | undefined | false>, options: UntilOptions = {}): Promise<T> {
	const {timeoutMs = 30_000, everyMs = 20} = options;
	const end = performance.now() + timeoutMs;
	for (;;) {
		const answer = await ask();
		if (answer !== undefined && answer !== false) {
			return answer;
		}

		if (performance.now() > end) {
			throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
		}

		await sleep(everyMs);
	}
}
