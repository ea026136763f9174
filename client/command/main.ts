import {isKeelsonError} from '../../kernel/errors.ts';
import {connect} from '../connect.ts';
import {UsageError, type Command} from './command.ts';
import {events} from './events.ts';
import {exec} from './exec.ts';
import {exportImages} from './export.ts';
import {images} from './images.ts';
import {importImages} from './import.ts';
import {Output} from './output.ts';
import {cutAfter, parse, type Parsed} from './parse.ts';
import {plugins} from './plugins.ts';
import {ps} from './ps.ts';
import {pull} from './pull.ts';
import {rm} from './rm.ts';
import {run} from './run.ts';
import {stop} from './stop.ts';
import {ownVersion, version} from './version.ts';

const COMMANDS: readonly Command[] = [pull, images, importImages, exportImages, run, ps, exec, stop, rm, events, plugins, version];

const DEFAULT_ADDRESS = '/run/keelson/keelson.sock';

const COMMON_OPTIONS = {
	address: {type: 'string', short: 'a'},
	namespace: {type: 'string', short: 'n'},
	json: {type: 'boolean'},
	help: {type: 'boolean', short: 'h'},
} as const;

const COMMON_USAGE = `
Options of every command:
  -a, --address PATH     socket of the daemon (default $KEELSON_ADDRESS, or ${DEFAULT_ADDRESS})
  -n, --namespace NAME   containerd namespace (default: default)
      --json             one JSON document, or one on each line where more come with time
  -h, --help             print this
`;

const USAGE = `Usage: keelson [options] COMMAND

Drives a container daemon.

Commands:
${COMMANDS.map(({name, summary}) => `  ${name.padEnd(10)}${summary}`).join('\n')}

keelson COMMAND --help says more of each.
${COMMON_USAGE}`;

/** Carries out a command line; resolves with the exit status: the command's own, 1 for an error, 2 for a line that makes no sense. */
export async function main(args: readonly string[]): Promise<number> {
	try {
		return await dispatch(args);
	} catch (error) {
		const isUsage = error instanceof UsageError;
		if (!isUsage && !isKeelsonError(error)) {
			throw error;
		}
		process.stderr.write(`keelson: ${error.message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
		return isUsage ? 2 : error.code === 'CANCELLED' ? 130 : 1;
	}
}

async function dispatch(args: readonly string[]): Promise<number> {
	const cut = cutAfter(args, COMMON_OPTIONS, 1);
	const before = parse(args.slice(0, cut), {...COMMON_OPTIONS, version: {type: 'boolean', short: 'v'}});
	const [name] = before.positionals;
	if (before.values['version'] === true) {
		process.stdout.write(`keelson ${await ownVersion()}\n`);
		return 0;
	}
	if (name === undefined) {
		process[before.values['help'] === true ? 'stdout' : 'stderr'].write(USAGE);
		return before.values['help'] === true ? 0 : 2;
	}
	const command = COMMANDS.find(each => each.name === name);
	if (command === undefined) {
		throw new UsageError(`there is no command ${JSON.stringify(name)}; see keelson --help`);
	}
	const parsed = parse(args.slice(cut), {...COMMON_OPTIONS, ...command.options}, command.programAfter);
	const values = {...before.values, ...parsed.values};
	if (values['help'] === true) {
		process.stdout.write(`${command.usage}${COMMON_USAGE}`);
		return 0;
	}
	checkCount(command, parsed.positionals.length);
	return carryOut(command, {values, positionals: parsed.positionals});
}

async function carryOut(command: Command, {values, positionals}: Parsed): Promise<number> {
	const address = textOf(values['address']) ?? process.env['KEELSON_ADDRESS'] ?? DEFAULT_ADDRESS;
	using client = connect(address, {namespace: textOf(values['namespace']) ?? 'default'});
	const output = new Output(process.stdout, {json: values['json'] === true});
	// Who started the container forwards signals to it instead.
	const signal = command.programAfter === undefined ? interruption(command) : new AbortController().signal;
	return await command.run({client, output, values, positionals, signal, address});
}

function checkCount({name, arguments: {least, most}}: Command, count: number): void {
	if (count < least) {
		throw new UsageError(`${name} needs ${least === 1 ? 'an argument' : `${least} arguments`}; see keelson ${name} --help`);
	}
	if (count > most) {
		throw new UsageError(`${name} takes ${most === 0 ? 'no arguments' : `at most ${most}`}, not ${count}; see keelson ${name} --help`);
	}
}

function interruption({name}: Command): AbortSignal {
	const stop = new AbortController();
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
		process.once(signal, () => stop.abort(new DOMException(`${name} was interrupted`, 'AbortError')));
	}
	return stop.signal;
}

function textOf(value: unknown): string | undefined {
	return typeof value === 'string' ? value : undefined;
}
