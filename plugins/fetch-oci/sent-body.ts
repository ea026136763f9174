const SLICE_BYTES = 64 * 1024;

/** A body on its way out, watched: `signal` aborts when nothing of it was taken for so many milliseconds. Nobody else notices a receiver that stops reading. */
export class SentBody implements Disposable {
	readonly #body: Uint8Array | AsyncIterable<Uint8Array>;
	readonly #stalled = new AbortController();
	readonly #stallMs: number;
	#timer: NodeJS.Timeout | undefined;

	constructor(body: Uint8Array | AsyncIterable<Uint8Array>, stallMs: number) {
		this.#body = body;
		this.#stallMs = stallMs;
	}

	get signal(): AbortSignal {
		return this.#stalled.signal;
	}

	/** The bytes, each piece when the one before it was taken. */
	async *read(): AsyncGenerator<Uint8Array, void, undefined> {
		try {
			for await (const chunk of this.#body instanceof Uint8Array ? [this.#body] : this.#body) {
				for (let at = 0; at < chunk.length; at += SLICE_BYTES) {
					this.#watch();
					yield chunk.subarray(at, at + SLICE_BYTES);
				}
			}
		} finally {
			this[Symbol.dispose]();
		}
	}

	[Symbol.dispose](): void {
		clearTimeout(this.#timer);
	}

	#watch(): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => {
			this.#stalled.abort(new Error(`nothing of the request was taken for ${this.#stallMs} ms`));
		}, this.#stallMs);
	}
}
