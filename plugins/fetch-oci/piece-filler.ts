import {PIECE_BYTES, type Piece, type PieceMemory, type PiecePool} from './piece-pool.ts';

/** So many parts of pieces the reader may have; then the network has to wait. */
const SENT_MAX = 4;
/** So long a byte may wait for others before it goes. */
const LINGER_MS = 20;

/**
 * Puts what the network brings for one answer together into large pieces. Pieces lie in memory that both threads see, and are used again: buffers that are sent from one
 * heap to another count as garbage in both. What is sent before a piece is full is a part of it, and the rest of it is filled further: whoever was told a place may use it
 * until he asks for the next one.
 */
export class PieceFiller {
	readonly #pool: PiecePool;
	readonly #send: (piece: Piece) => void;
	/** Parts that the reader has. */
	#sent = 0;
	#filling: PieceMemory | undefined;
	/** Where the bytes begin that are not sent, and where they end. */
	#from = 0;
	#at = 0;
	#linger: NodeJS.Timeout | undefined;
	/** Told when the reader was behind, and is no longer. */
	onRoom: (() => void) | undefined;

	constructor(pool: PiecePool, send: (piece: Piece) => void) {
		this.#pool = pool;
		this.#send = send;
	}

	/** The reader has as much as he may; what is filled in all the same is kept, and sent. */
	get isBehind(): boolean {
		return this.#sent >= SENT_MAX;
	}

	/** Where the next bytes go: at least one, and so many at most. */
	place(limit: number): Buffer {
		this.#filling ??= this.#pool.take();
		return this.#filling.bytes.subarray(this.#at, Math.min(PIECE_BYTES, this.#at + limit));
	}

	/** So many bytes are in the last place that was told. */
	filled(count: number): void {
		this.#at += count;
		if (this.#at === PIECE_BYTES) {
			this.flush();
		} else {
			this.#linger ??= setTimeout(() => this.flush(), LINGER_MS);
		}
	}

	/** Sends what is there. */
	flush(): void {
		clearTimeout(this.#linger);
		this.#linger = undefined;
		const piece = this.#filling;
		if (piece === undefined) {
			return;
		}
		if (this.#at > this.#from) {
			this.#sent++;
			piece.users++;
			this.#send({number: piece.number, offset: this.#from, length: this.#at - this.#from, ...(piece.isNew ? {memory: piece.bytes.buffer as unknown as SharedArrayBuffer} : {})});
			piece.isNew = false;
			this.#from = this.#at;
		}
		if (this.#at === PIECE_BYTES) {
			this.#letGo();
		}
	}

	/** The reader has given a part back. */
	wasRead(): void {
		const wasBehind = this.isBehind;
		this.#sent--;
		if (wasBehind && !this.isBehind) {
			this.onRoom?.();
		}
	}

	/** Sends what is there, and fills no more. */
	close(): void {
		this.flush();
		this.#letGo();
		this.onRoom = undefined;
	}

	#letGo(): void {
		if (this.#filling !== undefined) {
			this.#pool.give(this.#filling.number);
			this.#filling = undefined;
			this.#from = this.#at = 0;
		}
	}
}
