import {isKeelsonError} from '../kernel/errors.ts';
import {parseLine} from './keelsond-line.ts';

const USAGE = `Usage: keelsond [options] [command]

The container daemon. Without a command it serves until it is told to stop (SIGTERM, SIGINT).

Commands:
  config default         print the configuration that holds when no file says otherwise
  config dump            print the configuration as it is merged from all files
  config migrate         print the configuration file in the newest format; what it imports stays apart
  config check           say what is wrong in it, a line each; exit 1 if anything is
  publish                send the event on standard input (a google.protobuf.Any) to the daemon
  oci-hook COMMAND ...   read a container's state on standard input, put it into {{id}}, {{bundle}}, {{rootfs}},
                         {{pid}}, {{status}} and {{annotation "KEY"}}, and become COMMAND

Options:
  -c, --config FILE      configuration file (default /etc/keelson/config.toml, and /etc/keelson/conf.d/*.toml)
      --root DIRECTORY   what is kept across reboots
      --state DIRECTORY  what may go at a reboot
  -a, --address PATH     socket of the API
  -l, --log-level LEVEL  trace, debug, info, warn, error, fatal or panic
      --log-format FORM  text or json
      --topic TOPIC      of publish: the event's topic
      --namespace NAME   of publish: the event's namespace
  -v, --version          print the version
  -h, --help             print this
`;

async function main(): Promise<number> {
	const {flags, command, hook} = parseLine(process.argv.slice(2));
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
	if (command === 'publish') {
		return (await import('./keelsond-publish.ts')).publish(flags);
	}
	if (command === 'oci-hook') {
		return (await import('./keelsond-hook.ts')).becomeHook(hook);
	}
	const {isConfigCommand, showConfig} = await import('./keelsond-config.ts');
	if (isConfigCommand(command)) {
		return showConfig(command, flags);
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
