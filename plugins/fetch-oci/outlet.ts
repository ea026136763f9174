import {Writable} from 'node:stream';

const PIECE_BYTES = 256 * 1024;
/** So many are filled before the reader gives one back; then the network has to wait. */
const PIECES_MAX = 5;
/** So long a byte may wait for others before it goes. */
const LINGER_MS = 20;

/** A piece, which the reader gives back by its number. */
export interface Piece {
	readonly number: number;
	readonly length: number;
	/** Where it lies: told once of each number. */
	readonly memory?: SharedArrayBuffer;
}

/** What is not on its way yet. */
interface Rest {
	readonly chunk: Buffer;
	at: number;
	readonly done: () => void;
}

/**
 * Puts what the network brings together into large pieces, and waits for the reader when it lags behind. Pieces lie in memory that both threads see, and are used again:
 * buffers that are sent from one heap to another count as garbage in both.
 */
export class Outlet extends Writable {
	readonly #send: (piece: Piece) => void;
	readonly #pieces: Buffer[] = [];
	readonly #free: number[] = [];
	readonly #unknown = new Set<number>();
	#filling: number | undefined;
	#length = 0;
	#rest: Rest | undefined;
	#linger: NodeJS.Timeout | undefined;

	constructor(send: (piece: Piece) => void) {
		super({highWaterMark: PIECE_BYTES, decodeStrings: false});
		this.#send = send;
	}

	/** The reader needs a piece no more. */
	wasRead(number: number): void {
		this.#free.push(number);
		this.#fill();
	}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
		this.#rest = {chunk, at: 0, done};
		this.#fill();
	}

	override _final(done: () => void): void {
		this.#flush();
		done();
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		clearTimeout(this.#linger);
		done(error);
	}

	#fill(): void {
		const rest = this.#rest;
		if (rest === undefined) {
			return;
		}
		while (rest.at < rest.chunk.length) {
			this.#filling ??= this.#take();
			if (this.#filling === undefined) {
				return;
			}
			const copied = rest.chunk.copy(this.#pieces[this.#filling] as Buffer, this.#length, rest.at);
			rest.at += copied;
			this.#length += copied;
			if (this.#length === PIECE_BYTES) {
				this.#flush();
			}
		}
		if (this.#length > 0) {
			this.#linger ??= setTimeout(() => this.#flush(), LINGER_MS);
		}
		this.#rest = undefined;
		rest.done();
	}

	/** Undefined when the reader has all. */
	#take(): number | undefined {
		const free = this.#free.pop();
		if (free !== undefined || this.#pieces.length === PIECES_MAX) {
			return free;
		}
		const number = this.#pieces.push(Buffer.from(new SharedArrayBuffer(PIECE_BYTES))) - 1;
		this.#unknown.add(number);
		return number;
	}

	#flush(): void {
		clearTimeout(this.#linger);
		this.#linger = undefined;
		const number = this.#filling;
		if (number !== undefined && this.#length > 0) {
			const memory = this.#unknown.delete(number) ? this.#pieces[number]?.buffer as SharedArrayBuffer : undefined;
			this.#send({number, length: this.#length, ...(memory === undefined ? {} : {memory})});
			this.#filling = undefined;
			this.#length = 0;
		}
	}
}
