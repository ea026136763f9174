import {once} from 'node:events';
import type {ClientDuplexStream} from '@grpc/grpc-js';
import {fromStatus} from './from-status.ts';

const CLOSE_MS = 2000;

/** A call on which both sides send. Disposing it cancels what is not over. */
export class DuplexCall<Request, Response> implements AsyncDisposable {
	readonly #call: ClientDuplexStream<Request, Response>;
	readonly #complete: (partial: object) => Request;
	readonly #signal: AbortSignal | undefined;
	readonly #cancel: () => void;
	readonly #responses: AsyncIterator<Response>;
	#failure: {readonly error: unknown} | undefined;

	constructor(call: ClientDuplexStream<Request, Response>, complete: (partial: object) => Request, signal: AbortSignal | undefined) {
		this.#call = call;
		this.#complete = complete;
		this.#signal = signal;
		this.#cancel = () => call.cancel();
		signal?.addEventListener('abort', this.#cancel, {once: true});
		call.on('error', (error: unknown) => {
			this.#failure ??= {error};
		});
		this.#responses = (call as AsyncIterable<Response>)[Symbol.asyncIterator]();
	}

	/** Resolves when the peer takes more. That the call has failed is said by `receive`. */
	async send(message: Partial<Request>): Promise<void> {
		if (this.#call.destroyed || this.#failure !== undefined) {
			return;
		}
		if (!this.#call.write(this.#complete(message))) {
			await Promise.race([once(this.#call, 'drain'), once(this.#call, 'close')]).catch(() => {});
		}
	}

	/** The next response, undefined after the last. Rejects with the peer's code. */
	async receive(): Promise<Response | undefined> {
		try {
			const next = await this.#responses.next();
			return next.done === true ? undefined : next.value;
		} catch (error) {
			throw fromStatus(this.#failure?.error ?? error, this.#signal);
		}
	}

	/** Nothing more is sent. */
	end(): void {
		this.#call.end();
	}

	/** Ends our side and resolves when the peer has ended its own, so that what it held for the call is free; cancels after a moment. */
	async close(): Promise<void> {
		this.end();
		const timer = setTimeout(this.#cancel, CLOSE_MS);
		try {
			while (await this.receive() !== undefined) {
				// Answers that nobody asked for any more.
			}
		} catch {
			// It has failed, so it is over.
		} finally {
			clearTimeout(timer);
			await this[Symbol.asyncDispose]();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#signal?.removeEventListener('abort', this.#cancel);
		this.#call.cancel();
	}
}
