import {isKeelsonError} from '../../kernel/errors.ts';
import type {CallOptions} from '../channel.ts';
import type {Image, Images} from '../image/images.ts';
import {defineCommand} from './command.ts';
import {humanAge, humanBytes, shortDigest} from './human.ts';

export const images = defineCommand({
	name: 'images',
	summary: 'list images',
	usage: `Usage: keelson images [options]

Lists the images of the namespace: name, digest, size as fetched for this machine, time.
`,
	options: {},
	arguments: {least: 0, most: 0},
	async run({client, output, signal}) {
		const rows = [];
		for (const image of await client.images.list({signal})) {
			rows.push({name: image.name, digest: image.target.digest, mediaType: image.target.mediaType, size: await sizeOf(client.images, image, {signal}), createdAt: image.createdAt, labels: image.labels});
		}
		output.list(rows, [
			{heading: 'IMAGE', plain: ({name}) => name},
			{heading: 'DIGEST', plain: ({digest}) => digest, human: ({digest}) => shortDigest(digest)},
			{heading: 'SIZE', plain: ({size}) => String(size ?? '-'), human: ({size}) => size === undefined ? '-' : humanBytes(size)},
			{heading: 'CREATED', plain: ({createdAt}) => createdAt?.toISOString() ?? '-', human: ({createdAt}) => humanAge(createdAt)},
		]);
		return 0;
	},
});

/** Undefined where the content for this machine is not there, or is no image: it is listed all the same. */
async function sizeOf(images: Images, image: Image, options: CallOptions): Promise<number | undefined> {
	try {
		return (await images.inspect(image, options)).size;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND') || isKeelsonError(error, 'INVALID_ARGUMENT')) {
			return undefined;
		}
		throw error;
	}
}
