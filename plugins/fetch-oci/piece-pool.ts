/** A piece, which the reader gives back by its number. */
export interface Piece {
	readonly number: number;
	readonly length: number;
	/** Where it lies: told once of each number. */
	readonly memory?: SharedArrayBuffer;
}

/** Memory of a piece while it is filled. */
export interface PieceMemory {
	readonly number: number;
	readonly bytes: Buffer;
	/** The reader has not been told yet where it is. */
	isNew: boolean;
}

export const PIECE_BYTES = 256 * 1024;

/**
 * The pieces of all answers of a thread, used again: a layer in parts has hundreds of answers, and the memory of each would be garbage until it is collected, which
 * neither thread has a reason to do soon. As many as were ever under way at once; they go with the thread.
 */
export class PiecePool {
	readonly #all: PieceMemory[] = [];
	readonly #free: PieceMemory[] = [];

	take(): PieceMemory {
		const free = this.#free.pop();
		if (free !== undefined) {
			return free;
		}
		const made: PieceMemory = {number: this.#all.length, bytes: Buffer.from(new SharedArrayBuffer(PIECE_BYTES)), isNew: true};
		this.#all.push(made);
		return made;
	}

	/** Nobody reads it any more. */
	give(number: number): void {
		const piece = this.#all[number];
		if (piece !== undefined) {
			this.#free.push(piece);
		}
	}
}
