import {defineCommand} from './command.ts';
import {shortDigest} from './human.ts';
import {PullProgress} from './pull-progress.ts';

export const pull = defineCommand({
	name: 'pull',
	summary: 'fetch an image from a registry and unpack it',
	usage: `Usage: keelson pull [options] IMAGE

Fetches an image and unpacks it, a progress line for each layer. IMAGE is host[:port]/path[:tag][@digest].

Options:
      --plain-http          speak http to the registry
      --platform PLATFORM   os/architecture/variant (default: this machine's)
      --snapshotter NAME    where to unpack
`,
	options: {
		'plain-http': {type: 'boolean'},
		platform: {type: 'string'},
		snapshotter: {type: 'string'},
	},
	arguments: {least: 1, most: 1},
	async run({client, output, values, positionals: [reference = ''], signal}) {
		using progress = new PullProgress(output);
		const image = await client.images.pull(reference, {
			signal,
			onProgress: each => progress.show(each),
			plainHttp: values['plain-http'] ?? false,
			...(values.platform === undefined ? {} : {platform: values.platform}),
			...(values.snapshotter === undefined ? {} : {snapshotter: values.snapshotter}),
		});
		progress[Symbol.dispose]();
		for (const notice of progress.notices) {
			process.stderr.write(`keelson: ${notice}\n`);
		}
		const {name, target: {digest, mediaType}} = image;
		if (output.isJson) {
			output.json({name, digest, mediaType});
		} else {
			output.line(output.isTerminal ? `${name}  ${shortDigest(digest)}` : `${name}\t${digest}`);
		}
		return 0;
	},
});
