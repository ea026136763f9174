import {attach, needTerminal, terminalSize} from './attach.ts';
import {UsageError, defineCommand} from './command.ts';

export const run = defineCommand({
	name: 'run',
	summary: 'run a command in a new container',
	usage: `Usage: keelson run [options] IMAGE [COMMAND...]

Makes a container of an image and starts it. Its exit status becomes this command's; Ctrl-C goes to it.

Options:
      --rm               remove the container when it has ended
  -d, --detach           print the id and leave it running
  -t, --tty              give it a terminal
      --name ID          its id (default: random)
  -e, --env NAME=VALUE   an environment variable; may be given again
  -u, --user USER        user, uid, user:group or uid:gid
  -w, --cwd DIRECTORY    working directory
      --hostname NAME    its host name
      --net-host         share the machine's network
      --read-only        a root file system that cannot be written
      --memory BYTES     at most so much memory
      --cpus NUMBER      at most so many processors
`,
	options: {
		rm: {type: 'boolean'},
		detach: {type: 'boolean', short: 'd'},
		tty: {type: 'boolean', short: 't'},
		name: {type: 'string'},
		env: {type: 'string', short: 'e', multiple: true},
		user: {type: 'string', short: 'u'},
		cwd: {type: 'string', short: 'w'},
		hostname: {type: 'string'},
		'net-host': {type: 'boolean'},
		'read-only': {type: 'boolean'},
		memory: {type: 'string'},
		cpus: {type: 'string'},
	},
	arguments: {least: 1, most: Number.POSITIVE_INFINITY},
	programAfter: 1,
	async run({client, output, values, positionals: [image = '', ...args]}) {
		const {rm = false, detach = false, tty = false} = values;
		if (rm && detach) {
			throw new UsageError('--rm and -d do not go together: nobody would be there to remove it');
		}
		if (output.isJson && !detach) {
			throw new UsageError('--json goes with -d only: what an attached container prints is its own');
		}
		if (tty && !detach) {
			needTerminal();
		}
		const started = await client.run({
			image, tty,
			stdio: detach ? 'none' : 'pipe',
			...(args.length === 0 ? {} : {args}),
			...(tty && !detach ? {size: terminalSize()} : {}),
			...(values.name === undefined ? {} : {id: values.name}),
			...(values.env === undefined ? {} : {env: values.env}),
			...(values.user === undefined ? {} : {user: values.user}),
			...(values.cwd === undefined ? {} : {cwd: values.cwd}),
			...(values.hostname === undefined ? {} : {hostname: values.hostname}),
			hostNetwork: values['net-host'] ?? false,
			readOnly: values['read-only'] ?? false,
			...(values.memory === undefined ? {} : {memoryLimit: positive(values.memory, '--memory')}),
			...(values.cpus === undefined ? {} : {cpus: positive(values.cpus, '--cpus')}),
		});
		const {container, pid} = started;
		if (detach) {
			output.done(container.id, {id: container.id, pid});
			return 0;
		}
		try {
			const {exitCode} = await attach(started, {tty});
			await started.delete();
			return exitCode;
		} finally {
			await started.detach();
			if (rm) {
				await container.remove({force: true});
			}
		}
	},
});

function positive(text: string, option: string): number {
	const value = Number(text);
	if (!Number.isFinite(value) || value <= 0 || text.trim() === '') {
		throw new UsageError(`${option} is ${JSON.stringify(text)}, expected a number above 0`);
	}
	return value;
}
