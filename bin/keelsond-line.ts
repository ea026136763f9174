import {parseArgs} from 'node:util';

const OPTIONS = {
	config: {type: 'string', short: 'c'},
	root: {type: 'string'},
	state: {type: 'string'},
	address: {type: 'string', short: 'a'},
	'log-level': {type: 'string', short: 'l'},
	'log-format': {type: 'string'},
	namespace: {type: 'string'},
	topic: {type: 'string'},
	version: {type: 'boolean', short: 'v'},
	help: {type: 'boolean', short: 'h'},
} as const;

type Parsed = ReturnType<typeof parseArgs<{options: typeof OPTIONS; allowPositionals: true}>>;
export type Flags = Parsed['values'];

/** What somebody who starts the daemon's binary asks for. */
export interface Line {
	readonly flags: Flags;
	/** Words joined by blanks: `config dump`; empty: serve. */
	readonly command: string;
	/** What follows `oci-hook`, which is not ours to read. */
	readonly hook: readonly string[];
}

/** Reads a command line. Flags of more than one letter may have one dash, as containerd's may. Throws for a flag that is unknown or has no value. */
export function parseLine(args: readonly string[]): Line {
	const at = args.findIndex((word, index) => word === 'oci-hook' && !takesNext(args[index - 1]));
	const [mine, hook] = at === -1 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
	const {values, positionals} = parseArgs({args: mine.map(withTwoDashes), allowPositionals: true, options: OPTIONS});
	return {flags: values, command: at === -1 ? positionals.join(' ') : 'oci-hook', hook: hook[0] === '--' ? hook.slice(1) : hook};
}

function withTwoDashes(word: string): string {
	const [, name = '', value = ''] = /^-([a-z][a-z-]+)(=.*)?$/.exec(word) ?? [];
	return name in OPTIONS ? `--${name}${value}` : word;
}

function takesNext(word = ''): boolean {
	const name = word.replace(/^--?/, '');
	return word.startsWith('-') && Object.entries(OPTIONS).some(([long, option]) =>
		option.type === 'string' && (long === name || ('short' in option && option.short === name)));
}
