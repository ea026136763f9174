import type {Database} from '../../lib/sqlite/database.ts';

/** How many numbers one durable write sets aside; what a stopped daemon did not use is lost, which does no harm. */
const BLOCK = 1000;

/** Numbers that were never given before, not even by a daemon that was killed. */
export class Sequence {
	readonly #database: Database;
	#next = 0;
	#end = 0;

	constructor(database: Database) {
		this.#database = database;
	}

	next(): number {
		if (this.#next === this.#end) {
			this.#database.transaction(() => {
				this.#next = this.#database.get<{next: number}>('SELECT next FROM sequence')?.next ?? 1;
				this.#end = this.#next + BLOCK;
				this.#database.run('UPDATE sequence SET next = ?', this.#end);
			});
		}
		return this.#next++;
	}
}
