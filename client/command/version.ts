import {existsSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {defineCommand} from './command.ts';

export const version = defineCommand({
	name: 'version',
	summary: 'show the versions of this command and of the daemon',
	usage: `Usage: keelson version [options]

Prints the version of this command, and version and revision of the daemon that answers.
`,
	options: {},
	arguments: {least: 0, most: 0},
	async run({client, output, signal, address}) {
		const own = await ownVersion();
		const server = await client.services.version.version({}, {signal});
		if (output.isJson) {
			output.json({client: {version: own}, server: {...server, address}});
		} else {
			output.line(`client  keelson ${own}`);
			output.line(`server  ${server.version}${server.revision === '' ? '' : ` ${server.revision}`}  at ${address}`);
		}
		return 0;
	},
});

/** Of the package that this file is in, compiled or not. */
export async function ownVersion(): Promise<string> {
	let directory = import.meta.dirname;
	while (!existsSync(join(directory, 'package.json')) && directory !== '/') {
		directory = dirname(directory);
	}
	const {version} = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')) as {version: string};
	return version;
}
