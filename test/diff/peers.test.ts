import {execFile} from 'node:child_process';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import * as fc from 'fast-check';
import {layerOf, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import {listTree} from '../../contracts/diff/tree-listing.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {containerd} from '../helpers/containerd-program.ts';
import {Daemon} from '../helpers/daemon.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {generatedPlainImages, tarOfGenerated} from '../helpers/generated-layers.ts';
import {gnuFormats, gnuTar, makeTree} from '../helpers/gnu-tar.ts';
import {digestOf, image, layer, pushImage, type Layer} from '../helpers/oci-image.ts';
import {oddLayers} from '../helpers/odd-layers.ts';
import {Registry} from '../helpers/registry.ts';
import {createDiffer} from '../helpers/tar-differ.ts';
import {tar as tarOfEntries} from '../helpers/tar-writer.ts';

test('odd layers become, entry by entry, what containerd makes of them', async t => {
	await using peers = await Peers.start();
	await peers.compare(t, oddLayers([]));
});

test('generated layers become, entry by entry, what containerd makes of them', async t => {
	await using peers = await Peers.start();
	const images = fc.sample(generatedPlainImages, {numRuns: 12, seed: 4711});
	let applied = 0;
	for (const image of images) {
		applied += await peers.compare(t, image.map(one => layer(tarOfGenerated(one), 'gzip')));
	}
	t.true(applied > 10, `only ${applied} layers were taken`);
});

test('layers that GNU tar writes in each of its formats, and star, become what containerd makes of them', async t => {
	await using peers = await Peers.start();
	await using place = await Workplace.open();
	const layers: Layer[] = [layer(tarOfEntries([{name: 'star/', type: 'directory'}, {name: `star/${'p'.repeat(126)}/file`, body: 'x', uid: 3_000_000}], 'star'))];
	// Go's archive/tar reads the type S, containerd does not unpack it.
	for (const [at, {args, parts}] of gnuFormats.filter(({name}) => !/gnu, sparse/.test(name)).entries()) {
		const tree = await place.make(`tree-${at}`);
		await makeTree(path.join(tree, `format-${at}`), parts);
		await gnuTar(tree, place.at(`${at}.tar`), args);
		layers.push(layer(await readFile(place.at(`${at}.tar`))));
	}
	t.is(await peers.compare(t, layers), layers.length);
});

/** Ours, and a containerd that pulls from a registry. */
class Peers implements AsyncDisposable {
	readonly #registry: Registry;
	readonly #daemon: Daemon;
	readonly #differ: Awaited<ReturnType<typeof createDiffer>>;
	readonly #resources: AsyncDisposableStack;
	#last = 0;

	private constructor(registry: Registry, daemon: Daemon, differ: Awaited<ReturnType<typeof createDiffer>>, resources: AsyncDisposableStack) {
		this.#registry = registry;
		this.#daemon = daemon;
		this.#differ = differ;
		this.#resources = resources;
	}

	static async start(): Promise<Peers> {
		await using half = new AsyncDisposableStack();
		const registry = half.use(await Registry.start());
		const daemon = half.use(await Daemon.start(containerd('1.6')));
		const differ = half.use(await createDiffer());
		return new Peers(registry, daemon, differ, half.move());
	}

	/** @returns how many layers containerd took, from the lowest on: those ours must take too */
	async compare(t: ExecutionContext, layers: readonly Layer[]): Promise<number> {
		const startNs = BigInt(Date.now() - 1000) * 1_000_000n;
		await using place = await Workplace.open();
		const theirs = await this.#pulled(layers);
		for (const [at, directory] of theirs.entries()) {
			const {bytes, mediaType, diffId} = layers[at] as Layer;
			const lower = Array.from({length: at}, (_, index) => `layer-${at - 1 - index}`);
			const mounts = lower.length === 0 ? await place.bind('layer-0') : await place.overlay(`layer-${at}`, ...lower);
			const {digest} = await this.#differ.apply(layerOf(bytes, mediaType), mounts);
			t.is(diffId, digest);
			const unset = new Set(listTree(directory).filter(line => /^ (?:4|20000 )/.test(line.slice(nameOf(line).length)) && timeOf(line) >= startNs).map(nameOf));
			const comparable = (root: string): readonly string[] => listTree(root).map(line => unset.has(nameOf(line)) ? line.replace(/ \d{19} /, ' ') : line);
			t.deepEqual(comparable(place.at(`layer-${at}`)), comparable(directory), `layer ${at} of image ${this.#last}`);
		}
		return theirs.length;
	}

	/** The directories of the snapshots that containerd makes, of as many layers as it takes. */
	async #pulled(layers: readonly Layer[]): Promise<readonly string[]> {
		for (let count = layers.length; count > 0; count--) {
			const some = layers.slice(0, count);
			const reference = await pushImage(this.#registry, `image-${++this.#last}`, '1', image(some));
			const ctr = this.#daemon.ctr('1.6', this.#daemon.namespace('diff'));
			const {code} = await ctr.run('images', 'pull', '--plain-http', '--snapshotter', 'overlayfs', reference);
			if (code === 0) {
				return snapshotsOf(ctr, some);
			}
		}
		return [];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#resources.disposeAsync();
	}
}

/** Of layers that were unpacked one on the other. */
async function snapshotsOf(ctr: Ctr, layers: readonly Layer[]): Promise<readonly string[]> {
	let chain = '';
	const directories: string[] = [];
	for (const {diffId} of layers) {
		chain = chain === '' ? diffId : digestOf(Buffer.from(`${chain} ${diffId}`));
		// A child's mounts name the directory of its parent first.
		await ctr.ok('snapshots', '--snapshotter', 'overlayfs', 'prepare', `look-${chain}`, chain);
		const mounts = await ctr.ok('snapshots', '--snapshotter', 'overlayfs', 'mounts', '/nowhere', `look-${chain}`);
		directories.push(/lowerdir=(?<first>[^:,\s]*)/v.exec(mounts)?.groups?.['first'] ?? '');
	}
	return directories;
}

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
