const BUFFER_BYTES_MAX = 1024 * 1024;
const BUFFER_BYTES_MIN = 16 * 1024;

/** A buffer that is being filled. */
interface Filling {
	readonly bytes: Buffer<SharedArrayBuffer>;
	length: number;
}

/**
 * Small writes put together into few large buffers, which the ingest thread sees and which are used again: a message for each piece of the network costs more than its bytes,
 * fresh memory for each more than copying into memory that is warm, and memory that is sent from one heap to another counts as garbage in both.
 */
export class WriteBuffers {
	readonly #bytes: number;
	readonly #free: SharedArrayBuffer[] = [];
	readonly #send: (buffer: SharedArrayBuffer, length: number) => void;
	#filling: Filling | undefined;

	/**
	 * @param total bytes that are announced, 0 when unknown
	 * @param send takes a buffer away; it is given back by `recycle`
	 */
	constructor(total: number, send: (buffer: SharedArrayBuffer, length: number) => void) {
		this.#bytes = total === 0 ? BUFFER_BYTES_MAX / 4 : Math.min(BUFFER_BYTES_MAX, Math.max(BUFFER_BYTES_MIN, total));
		this.#send = send;
	}

	get isEmpty(): boolean {
		return this.#filling === undefined;
	}

	/** Copies. What fills a buffer is sent. */
	add(chunk: Uint8Array): void {
		// An array's own `set` copies into shared memory word by word, which takes four times as long.
		const source = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
		for (let at = 0; at < source.length;) {
			const filling = this.#filling ??= {bytes: Buffer.from(this.#free.pop() ?? new SharedArrayBuffer(this.#bytes)), length: 0};
			const length = source.copy(filling.bytes, filling.length, at);
			filling.length += length;
			at += length;
			if (filling.length === filling.bytes.length) {
				this.flush();
			}
		}
	}

	/** Sends what there is. */
	flush(): void {
		const filling = this.#filling;
		if (filling !== undefined) {
			this.#filling = undefined;
			this.#send(filling.bytes.buffer, filling.length);
		}
	}

	recycle(buffer: SharedArrayBuffer): void {
		this.#free.push(buffer);
	}
}
