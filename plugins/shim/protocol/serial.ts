/** Does one thing after the other, in the order asked. */
export class Serial {
	#last: Promise<unknown> = Promise.resolve();

	run<T>(work: () => Promise<T>): Promise<T> {
		const next = this.#last.then(work, work);
		this.#last = next;
		return next;
	}
}
