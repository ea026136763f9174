import {UsageError, defineCommand} from './command.ts';

export const stop = defineCommand({
	name: 'stop',
	summary: 'stop running containers',
	usage: `Usage: keelson stop [options] ID...

Sends the signal that the image asks for (SIGTERM if it says nothing), then SIGKILL. Prints each id when it has ended.

Options:
      --time SECONDS   until SIGKILL (default 10)
      --signal SIGNAL  instead of the image's
`,
	options: {
		time: {type: 'string'},
		signal: {type: 'string'},
	},
	arguments: {least: 1, most: Number.POSITIVE_INFINITY},
	async run({client, output, values: {time = '10', signal: killSignal}, positionals, signal}) {
		const seconds = Number(time);
		if (time.trim() === '' || !Number.isFinite(seconds) || seconds < 0 || seconds > 86_400) {
			throw new UsageError(`--time is ${JSON.stringify(time)}, expected seconds from 0 to 86400`);
		}
		for (const id of positionals) {
			const exit = await client.container(id).stop({signal, timeMs: seconds * 1000, ...(killSignal === undefined ? {} : {killSignal})});
			output.done(id, {id, ...exit});
		}
		return 0;
	},
});
