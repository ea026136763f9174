import {attach, needTerminal, terminalSize} from './attach.ts';
import {UsageError, defineCommand} from './command.ts';

export const exec = defineCommand({
	name: 'exec',
	summary: 'run a command in a running container',
	usage: `Usage: keelson exec [options] ID COMMAND...

Starts another process in a container. Its exit status becomes this command's; Ctrl-C goes to it.

Options:
  -t, --tty              give it a terminal
  -e, --env NAME=VALUE   an environment variable; may be given again
  -w, --cwd DIRECTORY    working directory
`,
	options: {
		tty: {type: 'boolean', short: 't'},
		env: {type: 'string', short: 'e', multiple: true},
		cwd: {type: 'string', short: 'w'},
	},
	arguments: {least: 2, most: Number.POSITIVE_INFINITY},
	programAfter: 1,
	async run({client, output, values, positionals: [id = '', ...args]}) {
		const {tty = false} = values;
		if (output.isJson) {
			throw new UsageError('exec has no --json: what it prints is the command\'s own');
		}
		if (tty) {
			needTerminal();
		}
		const started = await client.container(id).exec({
			args, tty,
			...(tty ? {size: terminalSize()} : {}),
			...(values.env === undefined ? {} : {env: values.env}),
			...(values.cwd === undefined ? {} : {cwd: values.cwd}),
		});
		try {
			const {exitCode} = await attach(started, {tty});
			await started.delete();
			return exitCode;
		} finally {
			await started.detach();
		}
	},
});
