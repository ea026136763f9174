import {isKeelsonError} from './errors.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'panic';

/** Values that go beside a message: names are lower case with underscores where containerd's log has them so. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes a line; never throws, never waits. An Error among the fields is written with its causes. */
export interface Logger {
	trace(message: string, fields?: LogFields): void;
	debug(message: string, fields?: LogFields): void;
	info(message: string, fields?: LogFields): void;
	warn(message: string, fields?: LogFields): void;
	error(message: string, fields?: LogFields): void;
	/** A logger that adds `fields` to every line. */
	with(fields: LogFields): Logger;
}

export interface LogOptions {
	/** Lines below it are not written. */
	readonly level: LogLevel;
	readonly format: 'text' | 'json';
	/** Takes whole lines, newline included. */
	readonly write: (line: string) => void;
}

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic'];

/** Writes containerd's log lines: its text format (logrus without colours) or its JSON. */
export class LineLogger implements Logger {
	readonly #options: LogOptions;
	readonly #fields: LogFields;

	constructor(options: LogOptions, fields: LogFields = {}) {
		this.#options = options;
		this.#fields = fields;
	}

	trace = (message: string, fields?: LogFields): void => this.line('trace', message, fields);
	debug = (message: string, fields?: LogFields): void => this.line('debug', message, fields);
	info = (message: string, fields?: LogFields): void => this.line('info', message, fields);
	warn = (message: string, fields?: LogFields): void => this.line('warn', message, fields);
	error = (message: string, fields?: LogFields): void => this.line('error', message, fields);

	with(fields: LogFields): LineLogger {
		return new LineLogger(this.#options, {...this.#fields, ...fields});
	}

	line(level: LogLevel, message: string, fields: LogFields = {}): void {
		const {level: least, format, write} = this.#options;
		if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) {
			return;
		}
		const all = Object.entries({...this.#fields, ...fields}).filter(([, value]) => value !== undefined);
		const head = {time: new Date().toISOString(), level: level === 'warn' ? 'warning' : level, msg: message};
		const entries = all.toSorted(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => [key, plain(value)] as const);
		write(`${format === 'json' ? JSON.stringify({...Object.fromEntries(entries), ...head}) : textLine({...head, ...Object.fromEntries(entries)})}\n`);
	}
}

function textLine(values: Readonly<Record<string, unknown>>): string {
	return Object.entries(values).map(([key, value]) => {
		const text = typeof value === 'string' ? value : JSON.stringify(value);
		// The time is always quoted; the rest only where a blank or a quote would mislead.
		return `${key}=${key !== 'time' && /^[\w\-./@^+]+$/.test(text) ? text : JSON.stringify(text)}`;
	}).join(' ');
}

function plain(value: unknown): unknown {
	if (value instanceof Error) {
		return describeError(value);
	}
	try {
		return typeof value === 'bigint' ? String(value) : JSON.parse(JSON.stringify(value) ?? 'null') as unknown;
	} catch {
		return String(value);
	}
}

/** An error's message and those of its causes; with the stack where a mistake of the programmer's is likely. */
export function describeError(error: Error): string {
	const parts: string[] = [];
	let cause: unknown = error;
	for (let depth = 0; cause instanceof Error && depth < 8; depth++, cause = cause.cause) {
		const {message} = cause;
		const inner = cause instanceof AggregateError ? ` [${cause.errors.map(String).join('; ')}]` : '';
		if (!parts.some((part) => part.includes(message)) || inner !== '') {
			parts.push(message + inner);
		}
		const isExpected = isKeelsonError(cause) || 'code' in cause || cause.name === 'AbortError' || cause.name === 'TimeoutError';
		if (!isExpected && cause.cause === undefined && cause.stack !== undefined) {
			parts.push(cause.stack);
		}
	}
	return parts.join(': ');
}
