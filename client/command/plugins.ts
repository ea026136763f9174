import {defineCommand} from './command.ts';

export const plugins = defineCommand({
	name: 'plugins',
	summary: 'list the plugins of the daemon',
	usage: `Usage: keelson plugins [options]

Lists what the daemon is made of: type, id, and whether it started (ok, skip, or error with what went wrong).
`,
	options: {},
	arguments: {least: 0, most: 0},
	async run({client, output, signal}) {
		const answer = await client.services.introspection.plugins({}, {signal});
		const rows = answer.plugins.map(({type, id, requires, capabilities, initErr}) => ({
			type, id, status: initErr === undefined ? 'ok' : initErr.message.includes('skip plugin') ? 'skip' : 'error',
			...(initErr === undefined ? {} : {error: initErr.message}),
			requires, capabilities,
		}));
		output.list(rows, [
			{heading: 'TYPE', plain: ({type}) => type},
			{heading: 'ID', plain: ({id}) => id},
			{heading: 'STATUS', plain: ({status}) => status},
			{heading: '', plain: ({error}) => error ?? ''},
		]);
		return 0;
	},
});
