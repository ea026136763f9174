import {parseArgs} from 'node:util';
import {isKeelsonError} from '../kernel/errors.ts';

const USAGE = `Usage: keelsond [options] [command]

The container daemon. Without a command it serves until it is told to stop (SIGTERM, SIGINT).

Commands:
  config default         print the configuration that holds when no file says otherwise
  config dump            print the configuration as it is merged from all files
  config check           say what is wrong in it, a line each; exit 1 if anything is

Options:
  -c, --config FILE      configuration file (default /etc/keelson/config.toml, and /etc/keelson/conf.d/*.toml)
      --root DIRECTORY   what is kept across reboots
      --state DIRECTORY  what may go at a reboot
  -a, --address PATH     socket of the API
  -l, --log-level LEVEL  trace, debug, info, warn, error, fatal or panic
      --log-format FORM  text or json
  -v, --version          print the version
  -h, --help             print this
`;

function parse() {
	return parseArgs({
		allowPositionals: true,
		options: {
			config: {type: 'string', short: 'c'},
			root: {type: 'string'},
			state: {type: 'string'},
			address: {type: 'string', short: 'a'},
			'log-level': {type: 'string', short: 'l'},
			'log-format': {type: 'string'},
			version: {type: 'boolean', short: 'v'},
			help: {type: 'boolean', short: 'h'},
		},
	});
}

export type Flags = ReturnType<typeof parse>['values'];

async function main(): Promise<number> {
	const {values: flags, positionals} = parse();
	const command = positionals.join(' ');
	if (flags.help === true) {
		process.stdout.write(USAGE);
		return 0;
	}
	if (flags.version === true) {
		const {version, revision} = await (await import('./keelsond-facts.ts')).facts();
		process.stdout.write(`keelsond keelson ${version} ${revision}\n`);
		return 0;
	}
	if (command === '') {
		return (await import('./keelsond-serve.ts')).serve(flags);
	}
	if (command === 'config default' || command === 'config dump' || command === 'config check') {
		return (await import('./keelsond-config.ts')).showConfig(command, flags);
	}
	process.stderr.write(`keelsond: there is no command ${command}; see keelsond --help\n`);
	return 1;
}

try {
	process.exitCode = await main();
} catch (error) {
	const {describeError} = await import('../kernel/log.ts');
	const message = isKeelsonError(error) || !(error instanceof Error) ? String(error) : describeError(error);
	process.stderr.write(`keelsond: ${message.replace(/^KeelsonError: /, '')}\n`);
	process.exitCode = 1;
}
// What a plugin has left open must not keep a daemon that has stopped.
process.exit();
