import {Writable} from 'node:stream';
import {PIECE_BYTES, type Piece, type PieceMemory, type PiecePool} from './piece-pool.ts';

/** So many are filled before the reader gives one back; then the network has to wait. */
const PIECES_MAX = 5;
/** So long a byte may wait for others before it goes. */
const LINGER_MS = 20;

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
	readonly #pool: PiecePool;
	readonly #send: (piece: Piece) => void;
	/** How many the reader has. */
	#sent = 0;
	#filling: PieceMemory | undefined;
	#length = 0;
	#rest: Rest | undefined;
	#linger: NodeJS.Timeout | undefined;

	constructor(pool: PiecePool, send: (piece: Piece) => void) {
		super({highWaterMark: PIECE_BYTES, decodeStrings: false});
		this.#pool = pool;
		this.#send = send;
	}

	/** The reader has given a piece back, to the pool. */
	wasRead(): void {
		this.#sent--;
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
		this.#rest = undefined;
		if (this.#filling !== undefined) {
			this.#pool.give(this.#filling.number);
			this.#filling = undefined;
		}
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
			const copied = rest.chunk.copy(this.#filling.bytes, this.#length, rest.at);
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
	#take(): PieceMemory | undefined {
		return this.#sent === PIECES_MAX ? undefined : this.#pool.take();
	}

	#flush(): void {
		clearTimeout(this.#linger);
		this.#linger = undefined;
		const piece = this.#filling;
		if (piece !== undefined && this.#length > 0) {
			this.#send({number: piece.number, length: this.#length, ...(piece.isNew ? {memory: piece.bytes.buffer as unknown as SharedArrayBuffer} : {})});
			piece.isNew = false;
			this.#sent++;
			this.#filling = undefined;
			this.#length = 0;
		}
	}
}
