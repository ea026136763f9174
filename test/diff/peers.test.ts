import {execFile} from 'node:child_process';
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import {layerOf, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {listTree} from '../../contracts/diff/tree-listing.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {containerd} from '../helpers/containerd-program.ts';
import {Daemon} from '../helpers/daemon.ts';
import {image, pushImage} from '../helpers/oci-image.ts';
import {oddLayers} from '../helpers/odd-layers.ts';
import {Registry} from '../helpers/registry.ts';
import {createDiffer} from '../helpers/tar-differ.ts';

test('odd layers become, entry by entry, what containerd makes of them', async t => {
	const startNs = BigInt(Date.now()) * 1_000_000n;
	await using registry = await Registry.start();
	await using daemon = await Daemon.start(containerd('1.6'));
	await using differ = await createDiffer();
	await using place = await Workplace.open();
	const layers = oddLayers([]);
	const reference = await pushImage(registry, 'odd', '1', image(layers));
	await daemon.ctr('1.6', daemon.namespace('diff')).ok('images', 'pull', '--plain-http', '--snapshotter', 'overlayfs', reference);
	for (const [at, {bytes, mediaType, diffId}] of layers.entries()) {
		const lower = Array.from({length: at}, (_, index) => `layer-${at - 1 - index}`);
		const mounts = lower.length === 0 ? await place.bind('layer-0') : await place.overlay(`layer-${at}`, ...lower);
		const {digest} = await differ.apply(layerOf(bytes, mediaType), mounts);
		t.is(diffId, digest);
		const theirs = path.join(daemon.places.root, 'io.containerd.snapshotter.v1.overlayfs/snapshots', String(at + 1), 'fs');
		const unset = new Set(listTree(theirs).filter(line => /^ (?:4|20000 )/.test(line.slice(nameOf(line).length)) && timeOf(line) >= startNs).map(nameOf));
		const comparable = (root: string): readonly string[] => listTree(root).map(line => unset.has(nameOf(line)) ? line.replace(/ \d{19} /, ' ') : line);
		t.deepEqual(comparable(place.at(`layer-${at}`)), comparable(theirs), `layer ${at}`);
	}
});

test('GNU tar reads what compare writes, and apply what GNU tar writes', async t => {
	await using differ = await createDiffer();
	await using place = await Workplace.open();
	await differ.apply(layerOf(oddLayers([])[0]?.bytes ?? Buffer.alloc(0), mediaTypes.ociLayerGzip), await place.bind('tree'));
	const {bytes} = await differ.compare([], await place.bind('tree'), {mediaType: mediaTypes.ociLayer});
	await writeFile(place.at('ours.tar'), Buffer.concat(await Array.fromAsync(bytes)));
	await mkdir(place.at('by-tar'));
	await tar('-x', '--xattrs', '--xattrs-include=*', '-p', '--same-owner', '-f', place.at('ours.tar'), '-C', place.at('by-tar'));
	t.deepEqual(listTree(place.at('by-tar')), listTree(place.at('tree')));
	for (const format of ['gnu', 'oldgnu', 'posix']) {
		const more = format === 'posix' ? ['--xattrs', '--xattrs-include=*'] : [];
		await tar('-c', '--sparse', ...more, `--format=${format}`, '-f', place.at(`${format}.tar`), '-C', place.at('tree'), '.');
		await differ.apply({...layerOf(Buffer.alloc(0)), file: place.at(`${format}.tar`)}, await place.bind(format));
		// Only pax has times with fractions, and attributes.
		const shorten = (line: string): string => format === 'posix' ? line : line.replace(/( \d+:\d+) (\d{1,10})\d{9} \S*/s, '$1 $2');
		t.deepEqual(listTree(place.at(format)).map(shorten), listTree(place.at('tree')).map(shorten), format);
	}
});

async function tar(...args: readonly string[]): Promise<void> {
	await promisify(execFile)('tar', args);
}

// Whiteouts, and directories that a layer only implies: containerd leaves these the time of the unpacking, ours is of the layer below.
function timeOf(line: string): bigint {
	return BigInt(/ (\d{1,19}) /.exec(line.replace(/^.* \d+:\d+ (?=\d+ )/, ' '))?.[1] ?? 0);
}

function nameOf(line: string): string {
	return /^.*?(?= \d{5,6} \d+:\d+ )/s.exec(line)?.[0] ?? line;
}
