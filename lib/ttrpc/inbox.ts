import {KeelsonError} from '../../kernel/errors.ts';

/** How many messages wait in one stream before the connection is not read any further. */
const messagesMax = 64;

/** The protocol has no flow control, so a stream that nobody reads holds up the others; for no longer than this. */
const patienceMs = 5000;

/** The messages that came over one stream, for one reader. */
export class Inbox implements AsyncIterable<Uint8Array> {
	#messages: Uint8Array[] = [];
	#end: {readonly error: unknown} | 'end' | undefined;
	#arrival: PromiseWithResolvers<void> | undefined;
	#room: PromiseWithResolvers<void> | undefined;

	/** Resolves when there is room for the next. Whoever reads too late gets RESOURCE_EXHAUSTED; what comes after the end is dropped. */
	async push(message: Uint8Array): Promise<void> {
		if (this.#end !== undefined) {
			return;
		}
		this.#messages.push(message);
		this.#arrival?.resolve();
		if (this.#messages.length < messagesMax) {
			return;
		}
		this.#room = Promise.withResolvers();
		const tooLate = new KeelsonError('RESOURCE_EXHAUSTED', `ttrpc: ${messagesMax} messages of a stream were not read within ${patienceMs} ms`);
		const timer = setTimeout(() => this.fail(tooLate), patienceMs);
		try {
			await this.#room.promise;
		} finally {
			clearTimeout(timer);
		}
	}

	/** The reader gets what is there, then the end. */
	end(): void {
		this.#end ??= 'end';
		this.#arrival?.resolve();
		this.#room?.resolve();
	}

	/** The reader gets the error next; what it has not read is dropped. */
	fail(error: unknown): void {
		if (this.#end === undefined) {
			this.#end = {error};
			this.#messages = [];
		}
		this.#arrival?.resolve();
		this.#room?.resolve();
	}

	async* [Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
		try {
			for (;;) {
				const message = this.#messages.shift();
				if (message !== undefined) {
					if (this.#messages.length < messagesMax / 2) {
						this.#room?.resolve();
					}
					yield message;
				} else if (this.#end === 'end') {
					return;
				} else if (this.#end !== undefined) {
					throw this.#end.error;
				} else {
					this.#arrival = Promise.withResolvers();
					await this.#arrival.promise;
				}
			}
		} finally {
			// A reader that stops early wants no more.
			this.#messages = [];
			this.end();
		}
	}
}
