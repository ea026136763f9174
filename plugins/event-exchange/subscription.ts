import type {Envelope} from '../../contracts/event/event.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** A subscriber that lags this far behind is cut off: its memory is ours. */
const QUEUE_MAX = 4096;

/** One listener's queue. Iterated once; ends when its signal aborts or its iteration is returned. */
export class Subscription implements AsyncIterable<Envelope>, AsyncIterator<Envelope> {
	readonly #queue: Envelope[] = [];
	readonly #leave: () => void;
	#wake: (() => void) | undefined;
	#failure: KeelsonError | undefined;
	#hasEnded = false;

	constructor(signal: AbortSignal, leave: () => void) {
		const end = (): void => {
			void this.return();
		};
		this.#leave = () => {
			signal.removeEventListener('abort', end);
			leave();
		};
		signal.addEventListener('abort', end, {once: true});
		this.#hasEnded = signal.aborted;
	}

	/** Never waits. */
	push(envelope: Envelope): void {
		if (this.#queue.length >= QUEUE_MAX) {
			this.#failure = new KeelsonError('RESOURCE_EXHAUSTED', `event subscriber lags ${QUEUE_MAX} events behind`);
			this.#queue.length = 0;
			this.#leave();
		} else if (this.#failure === undefined) {
			this.#queue.push(envelope);
		}
		this.#wake?.();
	}

	async next(): Promise<IteratorResult<Envelope, undefined>> {
		for (;;) {
			const envelope = this.#queue.shift();
			if (envelope !== undefined && !this.#hasEnded) {
				return {done: false, value: envelope};
			}
			if (this.#failure !== undefined) {
				throw this.#failure;
			}
			if (this.#hasEnded) {
				return {done: true, value: undefined};
			}
			const {promise, resolve} = Promise.withResolvers<void>();
			this.#wake = resolve;
			await promise;
			this.#wake = undefined;
		}
	}

	async return(): Promise<IteratorResult<Envelope, undefined>> {
		this.#hasEnded = true;
		this.#queue.length = 0;
		this.#leave();
		this.#wake?.();
		return {done: true, value: undefined};
	}

	[Symbol.asyncIterator](): this {
		return this;
	}
}
