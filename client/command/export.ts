import {once} from 'node:events';
import {createWriteStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import type {Writable} from 'node:stream';
import {finished} from 'node:stream/promises';
import {KeelsonError} from '../../kernel/errors.ts';
import {LayoutWriter} from '../image/layout-directory.ts';
import {defineCommand, UsageError} from './command.ts';

export const exportImages = defineCommand({
	name: 'export',
	summary: 'write images to an archive or an OCI layout',
	usage: `Usage: keelson export [options] PATH IMAGE...

Writes images to an archive that is an OCI layout and a docker-archive, to a directory as an OCI layout (PATH ends in / or is one, and empty), or to standard
output (-).

Options:
      --platform PLATFORM   os/architecture/variant (default: this machine's)
      --all-platforms       all that are here
      --no-docker           without the manifest.json of docker-archives
      --no-foreign          without layers that may not be distributed
`,
	options: {
		platform: {type: 'string', multiple: true},
		'all-platforms': {type: 'boolean'},
		'no-docker': {type: 'boolean'},
		'no-foreign': {type: 'boolean'},
	},
	arguments: {least: 2, most: 1000},
	async run({client, output, values, positionals: [path = '', ...names], signal}) {
		const options = {
			signal,
			allPlatforms: values['all-platforms'] === true,
			withoutDockerManifest: values['no-docker'] === true,
			withoutForeignLayers: values['no-foreign'] === true,
			...(values.platform === undefined ? {} : {platforms: values.platform}),
		};
		if (path === '-') {
			if (process.stdout.isTTY) {
				throw new UsageError('an archive is no text for a terminal: name a file, or send it to a program');
			}
			await client.images.export(names, async chunk => writeTo(process.stdout, chunk), options);
			return 0;
		}
		if (path.endsWith('/') || await isDirectory(path)) {
			await using layout = await LayoutWriter.create(path);
			await client.images.export(names, async chunk => layout.write(chunk), options);
			layout.end();
		} else {
			const file = createWriteStream(path);
			await once(file, 'open').catch((error: unknown) => {
				throw KeelsonError.from(error, 'INVALID_ARGUMENT');
			});
			await client.images.export(names, async chunk => writeTo(file, chunk), options);
			await finished(file.end());
		}
		output.done(path, {path, images: names});
		return 0;
	},
});

async function writeTo(stream: Writable, chunk: Uint8Array): Promise<void> {
	const {promise, resolve, reject} = Promise.withResolvers<void>();
	stream.write(chunk, error => error === undefined || error === null ? resolve() : reject(error));
	await promise;
}

async function isDirectory(path: string): Promise<boolean> {
	return stat(path).then(found => found.isDirectory(), () => false);
}
