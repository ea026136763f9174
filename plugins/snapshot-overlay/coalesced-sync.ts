/**
 * Lets callers who come at the same time share one run of a costly sync. A run serves those who asked before it began; who asks
 * while one is under way waits for the next, since his bytes may be too late for this one.
 */
export class CoalescedSync {
	readonly #run: () => Promise<void>;
	#running: Promise<void> | undefined;
	#next: Promise<void> | undefined;

	constructor(run: () => Promise<void>) {
		this.#run = run;
	}

	/** Rejects with what the run that served it rejected with. */
	async sync(): Promise<void> {
		this.#next ??= this.#begin();
		await this.#next;
	}

	async #begin(): Promise<void> {
		// Waits also when nothing runs: those who ask in this turn of the event loop join in.
		await this.#running?.catch(() => undefined);
		await Promise.resolve();
		const run = this.#run();
		this.#running = run;
		this.#next = undefined;
		await run;
	}
}
