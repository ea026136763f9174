import type {Body} from './http-client.ts';
import {dumpBytes} from './read-body.ts';

/** Bytes that are valid until they are said to be read. */
export interface FilledPiece {
	readonly number: number;
	readonly bytes: Uint8Array;
}

export interface ThreadBodyEvents {
	/** A piece has been read, or will not be, and may be filled again: said once of each. */
	readonly wasRead: (number: number) => void;
	/** Nobody wants the rest. */
	readonly drop: () => void;
	/** Nothing comes any more; told once. */
	readonly onEnd: () => void;
}

/** Of what came, all may be read when it ended or broke off, and nothing more when it failed. */
type State = 'open' | 'ended' | 'broken' | 'failed';

/** An answer's body that comes from another thread in pieces, of which only so many are under way as are read. Read once; a chunk is valid until the next is asked for. */
export class ThreadBody implements Body {
	readonly #events: ThreadBodyEvents;
	readonly #pieces: FilledPiece[] = [];
	#wake: (() => void) | undefined;
	#state: State = 'open';
	#error: unknown;

	constructor(events: ThreadBodyEvents) {
		this.#events = events;
	}

	push(piece: FilledPiece): void {
		if (this.#state === 'open') {
			this.#pieces.push(piece);
			this.#wake?.();
		} else {
			this.#events.wasRead(piece.number);
		}
	}

	end(): void {
		this.#close('ended');
	}

	/** The network says so: told after what came before. */
	breakOff(error: unknown): void {
		if (this.#state === 'open') {
			this.#error = error;
			this.#close('broken');
		}
	}

	/** Whoever reads is told so at once. What has ended stays so. */
	fail(error: unknown): void {
		if (this.#state === 'open') {
			this.#error = error;
			this.#giveBack();
			this.#close('failed');
			this.#events.drop();
		}
	}

	/** Lets the rest go. */
	destroy(): void {
		this.fail(new Error('the body was let go'));
		this.#giveBack();
	}

	async dump(options: {readonly limit: number}): Promise<void> {
		await dumpBytes(this, options);
	}

	async* [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
		try {
			for (;;) {
				for (let piece = this.#pieces.shift(); piece !== undefined; piece = this.#pieces.shift()) {
					try {
						yield piece.bytes;
					} finally {
						// Not before, whatever became of the answer: someone may still be at it.
						this.#events.wasRead(piece.number);
					}
				}
				if (this.#state === 'broken' || this.#state === 'failed') {
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

	/** What nobody has seen, and nobody will. */
	#giveBack(): void {
		for (const {number} of this.#pieces.splice(0)) {
			this.#events.wasRead(number);
		}
	}

	#close(state: Exclude<State, 'open'>): void {
		if (this.#state === 'open') {
			this.#state = state;
			this.#wake?.();
			this.#events.onEnd();
		}
	}
}
