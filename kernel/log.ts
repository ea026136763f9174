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
