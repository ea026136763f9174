import type {ParseArgsOptionsConfig, parseArgs} from 'node:util';
import type {Client} from '../connect.ts';
import type {Output} from './output.ts';

/** What a command is given: parsed arguments, a client, and where to print. */
export interface CommandContext<O extends ParseArgsOptionsConfig> {
	readonly client: Client;
	readonly output: Output;
	readonly values: ReturnType<typeof parseArgs<{options: O}>>['values'];
	readonly positionals: readonly string[];
	/** Aborts at Ctrl-C, unless the command forwards signals itself. */
	readonly signal: AbortSignal;
	readonly address: string;
}

/** One word after `keelson`. */
export interface Command {
	readonly name: string;
	/** A line of the list of commands. */
	readonly summary: string;
	/** What --help prints, without the options that every command has. */
	readonly usage: string;
	readonly options: ParseArgsOptionsConfig;
	/** How many positionals it takes. */
	readonly arguments: {readonly least: number; readonly most: number};
	/** What follows this many positionals belongs to the program that is started, dashes and all. */
	readonly programAfter?: number;
	/** Resolves with the exit status. */
	run(context: CommandContext<ParseArgsOptionsConfig>): Promise<number>;
}

/** Joins a command's options with a `run` whose values have their types. */
export function defineCommand<const O extends ParseArgsOptionsConfig>(command: Omit<Command, 'run' | 'options'> & {
	readonly options: O;
	readonly run: (context: CommandContext<O>) => Promise<number>;
}): Command {
	// The parser is given the same options: the values have the types that these say.
	return command;
}

/** The command line makes no sense: exit status 2. */
export class UsageError extends Error {
	override readonly name = 'UsageError';
}
