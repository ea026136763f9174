import {parseArgs, type ParseArgsOptionsConfig} from 'node:util';
import {UsageError} from './command.ts';

export interface Parsed {
	readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
	readonly positionals: readonly string[];
}

/**
 * Reads options and positionals; what follows `programAfter` positionals is taken as it is, since it belongs to another program.
 * Throws UsageError.
 */
export function parse(args: readonly string[], options: ParseArgsOptionsConfig, programAfter?: number): Parsed {
	const cut = programAfter === undefined ? args.length : cutAfter(args, options, programAfter);
	try {
		const {values, positionals} = parseArgs({args: args.slice(0, cut), options, allowPositionals: true, strict: true});
		return {values, positionals: [...positionals, ...args.slice(cut)]};
	} catch (error) {
		if (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) {
			// The second sentence explains dashes to whoever did not ask.
			throw new UsageError(error.message.split('. ')[0]?.replace(/^[A-Z]/, letter => letter.toLowerCase()), {cause: error});
		}
		throw error;
	}
}

/** Where the arguments end that are not the other program's. */
export function cutAfter(args: readonly string[], options: ParseArgsOptionsConfig, positionals: number): number {
	const {tokens} = parseArgs({args: [...args], options, allowPositionals: true, strict: false, tokens: true});
	const last = tokens.filter(({kind}) => kind === 'positional')[positionals - 1];
	return last === undefined ? args.length : last.index + 1;
}
