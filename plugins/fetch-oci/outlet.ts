import {Writable} from 'node:stream';
import type {PieceFiller} from './piece-filler.ts';
import {PIECE_BYTES} from './piece-pool.ts';

/** What has no place yet. */
interface Rest {
	readonly chunk: Buffer;
	at: number;
	readonly done: () => void;
}

/** Copies what a parser gives into pieces, and waits for the reader when he lags behind. */
export class Outlet extends Writable {
	readonly #filler: PieceFiller;
	#rest: Rest | undefined;

	constructor(filler: PieceFiller) {
		super({highWaterMark: PIECE_BYTES, decodeStrings: false});
		this.#filler = filler;
		filler.onRoom = () => this.#fill();
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
		this.#rest = {chunk, at: 0, done};
		this.#fill();
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		this.#rest = undefined;
		done(error);
	}

	#fill(): void {
		const rest = this.#rest;
		if (rest === undefined) {
			return;
		}
		while (rest.at < rest.chunk.length) {
			if (this.#filler.isBehind) {
				return;
			}
			const copied = rest.chunk.copy(this.#filler.place(PIECE_BYTES), 0, rest.at);
			rest.at += copied;
			this.#filler.filled(copied);
		}
		this.#rest = undefined;
		rest.done();
	}
}
