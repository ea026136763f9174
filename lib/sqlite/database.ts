import {DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync} from 'node:sqlite';
import {migrate, type Migration} from './migrate.ts';
import {sqliteError} from './sqlite-error.ts';

export interface DatabaseOptions {
	/** A file, made when it is not there (its directory must be), or `:memory:`. */
	readonly path: string;
	/** Steps from an empty file to today's schema, oldest first; those that a file has not had are run when it is opened. */
	readonly migrations: readonly Migration[];
	/** How long a statement waits for another process that holds the file, default 5000. */
	readonly busyTimeoutMs?: number;
	/** false: a commit outlives the process but not a loss of power. Default true: it outlives both. */
	readonly isDurable?: boolean;
}

/** A row as sqlite answers it; NULL is null, and a number beyond 2^53 throws. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

/** How many prepared statements are kept; texts of statements must be constants, or this cache is of no use. */
const STATEMENTS_MAX = 256;

/**
 * One sqlite file in WAL mode, with synchronous calls. A durable commit takes a fraction of a millisecond, so short statements may run on an event
 * loop; a scan of many rows is asked for in pages. Failures of the disk reject with UNAVAILABLE, RESOURCE_EXHAUSTED, DATA_LOSS, INTERNAL or
 * FAILED_PRECONDITION; mistakes in a statement and broken constraints throw sqlite's own error.
 */
export class Database implements Disposable {
	readonly path: string;
	readonly #connection: DatabaseSync;
	readonly #statements = new Map<string, StatementSync>();

	/** Rejects with FAILED_PRECONDITION when the file is of a newer schema than `migrations` know, or cannot be opened; with DATA_LOSS when it is no database. */
	constructor({path, migrations, busyTimeoutMs = 5000, isDurable = true}: DatabaseOptions) {
		this.path = path;
		try {
			this.#connection = new DatabaseSync(path, {timeout: busyTimeoutMs});
		} catch (error) {
			throw sqliteError(error, path);
		}
		try {
			this.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${isDurable ? 'FULL' : 'NORMAL'}; PRAGMA foreign_keys = ON;`);
			migrate(this, migrations);
		} catch (error) {
			this[Symbol.dispose]();
			throw error;
		}
	}

	/** Runs statements that need no values and answer nothing. */
	exec(sql: string): void {
		this.#guard(() => {
			this.#connection.exec(sql);
		});
	}

	/** Runs one statement; answers how many rows it changed. */
	run(sql: string, ...values: readonly SQLInputValue[]): number {
		return this.#guard(() => Number(this.#prepare(sql).run(...values).changes));
	}

	/** The first row, if there is one. The caller names the shape that its statement selects. */
	// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the one place where a row gets its shape
	get<R = Row>(sql: string, ...values: readonly SQLInputValue[]): R | undefined {
		return this.#guard(() => this.#prepare(sql).get(...values) as R | undefined);
	}

	/** All rows: for few, or for a page (`LIMIT`). */
	// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as in `get`
	all<R = Row>(sql: string, ...values: readonly SQLInputValue[]): readonly R[] {
		return this.#guard(() => this.#prepare(sql).all(...values) as R[]);
	}

	/** What `make` makes of each row, whose columns come in their order: the quickest way to read many. `make` must be synchronous, and use no statement of this database. */
	// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as in `get`
	map<R extends readonly unknown[], T>(sql: string, values: readonly SQLInputValue[], make: (columns: R) => T): T[] {
		return this.#guard(() => {
			const made: T[] = [];
			// One of its own: a statement answers all with arrays, or none.
			const statement = this.#prepare(`${sql} -- as arrays`);
			statement.setReturnArrays(true);
			for (const row of statement.iterate(...values)) {
				made.push(make(row as unknown as R));
			}
			return made;
		});
	}

	get isInTransaction(): boolean {
		return this.#connection.isTransaction;
	}

	/**
	 * Runs `work` as one: durable when this returns, undone when `work` throws. `work` must be synchronous. Within a transaction it becomes part of
	 * that one, and when it throws all of it is undone.
	 */
	transaction<T>(work: () => T): T {
		if (this.isInTransaction) {
			return work();
		}
		// IMMEDIATE: a transaction that reads first and writes then could otherwise fail when it begins to write.
		this.exec('BEGIN IMMEDIATE');
		try {
			const result = work();
			this.exec('COMMIT');
			return result;
		} catch (error) {
			// A full disk has rolled back already.
			if (this.isInTransaction) {
				this.exec('ROLLBACK');
			}
			throw error;
		}
	}

	/** Closes the file. Closing twice is harmless. */
	[Symbol.dispose](): void {
		this.#statements.clear();
		if (this.#connection.isOpen) {
			this.#connection.close();
		}
	}

	#prepare(sql: string): StatementSync {
		let statement = this.#statements.get(sql);
		if (statement === undefined) {
			statement = this.#connection.prepare(sql);
			if (this.#statements.size >= STATEMENTS_MAX) {
				this.#statements.clear();
			}
			this.#statements.set(sql, statement);
		}
		return statement;
	}

	#guard<T>(work: () => T): T {
		try {
			return work();
		} catch (error) {
			throw sqliteError(error, this.path);
		}
	}
}
