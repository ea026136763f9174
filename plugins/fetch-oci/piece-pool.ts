/** Bytes of a piece, for a reader who gives them back by its number. */
export interface Piece {
	readonly number: number;
	readonly offset: number;
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
	/** Whoever fills it, and each reader of a part of it. */
	users: number;
}

export const PIECE_BYTES = 256 * 1024;

/**
 * The pieces of all answers of a thread, used again: a layer in parts has hundreds of answers, and the memory of each would be garbage until it is collected, which
 * neither thread has a reason to do soon. As many as were ever under way at once; they go with the thread.
 */
export class PiecePool {
	readonly #all: PieceMemory[] = [];
	readonly #free: PieceMemory[] = [];

	/** With one user: who takes it. */
	take(): PieceMemory {
		const free = this.#free.pop();
		if (free !== undefined) {
			free.users = 1;
			return free;
		}
		const made: PieceMemory = {number: this.#all.length, bytes: Buffer.from(new SharedArrayBuffer(PIECE_BYTES)), isNew: true, users: 1};
		this.#all.push(made);
		return made;
	}

	/** One of its users is done with it. */
	give(number: number): void {
		const piece = this.#all[number];
		if (piece !== undefined && --piece.users === 0) {
			this.#free.push(piece);
		}
	}
}
