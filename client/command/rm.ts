import {defineCommand} from './command.ts';

export const rm = defineCommand({
	name: 'rm',
	summary: 'remove containers',
	usage: `Usage: keelson rm [options] ID...

Removes containers with their files. Prints each id when it is gone.

Options:
  -f, --force   end those that run
`,
	options: {force: {type: 'boolean', short: 'f'}},
	arguments: {least: 1, most: Number.POSITIVE_INFINITY},
	async run({client, output, values: {force = false}, positionals, signal}) {
		for (const id of positionals) {
			await client.container(id).remove({force, signal});
			output.done(id, {id});
		}
		return 0;
	},
});
