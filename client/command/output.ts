import {jsonText} from './json-text.ts';
import {alignedTable, plainTable} from './table.ts';

/** A column of a list, in its two forms. */
export interface Column<T> {
	readonly heading: string;
	/** For a person; default: as `plain`. */
	readonly human?: (row: T) => string;
	/** For a pipe. */
	readonly plain: (row: T) => string;
}

/** Where a command prints, in the form that its reader wants: aligned for a person, plain for a pipe, JSON for a program. */
export class Output {
	/** The reader is a person at a terminal. */
	readonly isTerminal: boolean;
	readonly isJson: boolean;
	readonly #stream: NodeJS.WriteStream;

	constructor(stream: NodeJS.WriteStream, {json}: {readonly json: boolean}) {
		this.#stream = stream;
		this.isJson = json;
		this.isTerminal = stream.isTTY && !json;
	}

	/** Of the terminal; 80 where there is none. */
	get columns(): number {
		return this.isTerminal ? this.#stream.columns : 80;
	}

	get rows(): number {
		return this.isTerminal ? this.#stream.rows : 24;
	}

	write(text: string): void {
		this.#stream.write(text);
	}

	line(text: string): void {
		this.write(`${text}\n`);
	}

	/** One JSON document on a line. */
	json(value: unknown): void {
		this.line(jsonText(value));
	}

	/** A list: one JSON array, a table, or a line for each row. */
	list<T>(rows: readonly T[], columns: readonly Column<T>[]): void {
		if (this.isJson) {
			this.json(rows);
		} else if (this.isTerminal) {
			this.write(alignedTable(columns.map(({heading}) => heading), rows.map(row => columns.map(({human, plain}) => (human ?? plain)(row)))));
		} else {
			this.write(plainTable(rows.map(row => columns.map(({plain}) => plain(row)))));
		}
	}

	/** What was done to a thing: a JSON document with more, or its name. */
	done(name: string, more: object): void {
		if (this.isJson) {
			this.json(more);
		} else {
			this.line(name);
		}
	}
}
