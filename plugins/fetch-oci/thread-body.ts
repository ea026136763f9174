import type {Body} from './http-client.ts';
import type {Piece} from './outlet.ts';

export interface ThreadBodyEvents {
	/** A piece has been read, and may be filled again. */
	readonly wasRead: (number: number) => void;
	/** Nobody wants the rest. */
	readonly drop: () => void;
	/** Nothing comes any more; told once. */
	readonly onEnd: () => void;
}

/** An answer's body that comes from another thread in pieces, of which only so many are under way as are read. Read once; a chunk is valid until the next is asked for. */
export class ThreadBody implements Body {
	readonly #events: ThreadBodyEvents;
	readonly #pieces: Piece[] = [];
	/** Of each piece's number. */
	readonly #memory: SharedArrayBuffer[] = [];
	#wake: (() => void) | undefined;
	#state: 'open' | 'ended' | 'failed' = 'open';
	#error: unknown;

	constructor(events: ThreadBodyEvents) {
		this.#events = events;
	}

	push(piece: Piece): void {
		if (this.#state === 'open') {
			if (piece.memory !== undefined) {
				this.#memory[piece.number] = piece.memory;
			}
			this.#pieces.push(piece);
			this.#wake?.();
		}
	}

	end(): void {
		this.#close('ended');
	}

	/** Whoever reads is told so at once. What has ended stays so. */
	fail(error: unknown): void {
		if (this.#state === 'open') {
			this.#error = error;
			this.#pieces.length = 0;
			this.#close('failed');
			this.#events.drop();
		}
	}

	/** Lets the rest go. */
	destroy(): void {
		this.fail(new Error('the body was let go'));
	}

	async dump({limit}: {readonly limit: number}): Promise<void> {
		let length = 0;
		for await (const piece of this) {
			length += piece.length;
			if (length > limit) {
				return;
			}
		}
	}

	async* [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
		try {
			for (;;) {
				for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
					const {number, length} = piece;
					yield new Uint8Array(this.#memory[number] as SharedArrayBuffer, 0, length);
					if (this.#state === 'open') {
						this.#events.wasRead(number);
					}
				}
				if (this.#state === 'failed') {
					throw this.#error;
				}
				if (this.#state === 'ended') {
					return;
				}
				await new Promise<void>(resolve => {
					this.#wake = resolve;
				});
			}
		} finally {
			this.destroy();
		}
	}

	#close(state: 'ended' | 'failed'): void {
		if (this.#state === 'open') {
			this.#state = state;
			this.#wake?.();
			this.#events.onEnd();
		}
	}
}
