import type {Socket} from 'node:net';
import {KeelsonError} from '../../kernel/errors.ts';

/** What a comparing worker writes, to be read once. Returned early, also before the first byte, it ends the work. */
export class ComparedBytes implements AsyncIterableIterator<Uint8Array, undefined> {
	readonly #chunks: AsyncIterator<Uint8Array, undefined>;
	readonly #socket: Socket;
	readonly #finished: Promise<unknown>;
	readonly #stop: AbortController;

	/** @param finished settles as the work does; then no more bytes come */
	constructor(socket: Socket, finished: Promise<unknown>, stop: AbortController) {
		this.#chunks = (socket as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
		this.#socket = socket;
		this.#finished = finished;
		this.#stop = stop;
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	/** Rejects as the work does, so that bytes of a work that failed never seem whole. */
	async next(): Promise<IteratorResult<Uint8Array, undefined>> {
		let next: IteratorResult<Uint8Array, undefined>;
		try {
			next = await this.#chunks.next();
		} catch (error) {
			// An aborted work destroys its socket; it knows why better.
			await this.#finished;
			throw error;
		}
		if (next.done === true) {
			await this.#finished;
		}
		return next;
	}

	async return(): Promise<IteratorResult<Uint8Array, undefined>> {
		this.#stop.abort(new KeelsonError('CANCELLED', 'the layer was not read to its end'));
		this.#socket.destroy();
		await this.#finished.catch(() => undefined);
		return {done: true, value: undefined};
	}
}
