import {KeelsonError} from '../../kernel/errors.ts';

const QUEUE_MAX = 32;

/** One direction of a stream: a short queue whose sender waits for its receiver. */
export class Lane<T> {
	readonly #id: string;
	readonly #queue: T[] = [];
	#waiters: (() => void)[] = [];
	#hasEnded = false;
	#isAbandoned = false;

	constructor(id: string) {
		this.#id = id;
	}

	/** Rejects with UNAVAILABLE once either side has closed. */
	async send(message: T, signal?: AbortSignal): Promise<void> {
		for (;;) {
			if (this.#hasEnded || this.#isAbandoned) {
				throw new KeelsonError('UNAVAILABLE', `stream ${JSON.stringify(this.#id)} is closed`);
			}
			if (this.#queue.length < QUEUE_MAX) {
				this.#queue.push(message);
				this.#wake();
				return;
			}
			await this.#change(signal);
		}
	}

	/** The next message, undefined when there will be none. */
	async receive(signal?: AbortSignal): Promise<T | undefined> {
		for (;;) {
			if (this.#queue.length > 0) {
				const message = this.#queue.shift();
				this.#wake();
				return message;
			}
			if (this.#hasEnded || this.#isAbandoned) {
				return undefined;
			}
			await this.#change(signal);
		}
	}

	/** No more is sent; what was sent can still be received. */
	end(): void {
		this.#hasEnded = true;
		this.#wake();
	}

	/** Nobody receives any more. */
	abandon(): void {
		this.#isAbandoned = true;
		this.#queue.length = 0;
		this.#wake();
	}

	async #change(signal?: AbortSignal): Promise<void> {
		signal?.throwIfAborted();
		const {promise, resolve, reject} = Promise.withResolvers<void>();
		const abort = (): void => {
			reject(signal?.reason as Error);
		};
		this.#waiters.push(resolve);
		signal?.addEventListener('abort', abort, {once: true});
		try {
			await promise;
		} finally {
			signal?.removeEventListener('abort', abort);
		}
	}

	#wake(): void {
		const waiters = this.#waiters;
		this.#waiters = [];
		for (const resolve of waiters) {
			resolve();
		}
	}
}
