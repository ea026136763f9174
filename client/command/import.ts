import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {KeelsonError} from '../../kernel/errors.ts';
import {readLayout} from '../image/layout-directory.ts';
import {defineCommand} from './command.ts';

export const importImages = defineCommand({
	name: 'import',
	summary: 'take images from an archive or an OCI layout',
	usage: `Usage: keelson import [options] PATH

Takes the images of an archive (OCI layout or docker-archive; plain, gzip or zstd), of a directory that is an OCI layout, or of standard input (-).

Options:
      --name NAME           images for which the archive has but a tag are called NAME:TAG
      --platform PLATFORM   os/architecture/variant (default: all)
      --snapshotter NAME    where to unpack
      --no-unpack           only keep the content
`,
	options: {
		name: {type: 'string'},
		platform: {type: 'string', multiple: true},
		snapshotter: {type: 'string'},
		'no-unpack': {type: 'boolean'},
	},
	arguments: {least: 1, most: 1},
	async run({client, output, values, positionals: [path = ''], signal}) {
		const bytes = path === '-' ? process.stdin : (await statOf(path)).isDirectory() ? readLayout(path) : createReadStream(path);
		const names = await client.images.import(bytes, {
			signal,
			unpack: values['no-unpack'] !== true,
			...(values.name === undefined ? {} : {name: values.name}),
			...(values.platform === undefined ? {} : {platforms: values.platform}),
			...(values.snapshotter === undefined ? {} : {snapshotter: values.snapshotter}),
		});
		output.list(names.map(name => ({name})), [{heading: 'IMAGE', plain: ({name}) => name}]);
		return 0;
	},
});

async function statOf(path: string): ReturnType<typeof stat> {
	return stat(path).catch((error: unknown) => {
		throw KeelsonError.from(error, 'NOT_FOUND');
	});
}
