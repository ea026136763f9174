import {readdir, readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import {tarOf, Workplace, type SuiteEntry} from '../../contracts/diff/diff-subject.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {chainIds, digestOf, imageOf, layerOf, partOf, type MadeLayer} from '../../contracts/transfer/transfer-images.suite.ts';
import {SmallRegistry} from '../../contracts/transfer/transfer-registry.suite.ts';
import {storiesOf} from '../../contracts/transfer/transfer-story.suite.ts';
import {until} from '../helpers/until.ts';
import {createHouse} from './house.ts';

const story = storiesOf(test, {name: 'transfer-local', snapshotter: 'overlayfs', create: createHouse});

story('four images with layers in common, pulled at once: each layer is fetched once and unpacked once', async (t, corner) => {
	const shared = Array.from({length: 4}, () => layerOf(300_000));
	const images = Array.from({length: 4}, () => imageOf([...shared, layerOf(100_000), layerOf()]));
	await using registry = await SmallRegistry.start(images[0]?.manifest ?? layerOf(), images);
	const unpacked: string[] = [];
	await Promise.all(images.map(async ({manifest}, at) => corner.pull(registry.reference.replace(':latest', `@${manifest.digest}`), {
		name: `image-${at}`, progress: ({event, name}) => event === 'extracted' && unpacked.push(name),
	})));
	t.deepEqual(unpacked.toSorted(), [...new Set(images.flatMap(({layers}) => layers.map(({digest}) => `layer-${digest}`)))].toSorted());
	for (const layer of images.flatMap(({layers}) => layers)) {
		t.is(registry.asksFor(layer), 1);
	}
	t.is((await corner.holds()).snapshots.length, 4 + 4 * 2);
});

story('a connection for the layers is made while an image of a new name is resolved, and not for one that is known', async (t, corner) => {
	const image = imageOf([layerOf(2_000_000)]);
	for (const isKnown of [false, true]) {
		const {promise: released, resolve: release} = Promise.withResolvers<void>();
		// Each time another: connections to one are kept.
		await using registry = await SmallRegistry.start(image.manifest, [image], ({method}, response, own) => {
			if (method !== 'HEAD') {
				return false;
			}
			void released.then(() => own.serve(image.manifest, response, {isHead: true}));
			return true;
		});
		const pulling = corner.pull(registry.reference, {name: 'image'});
		await until('the registry to be asked', () => registry.asked.length === 1);
		if (isKnown) {
			await sleep(200);
			t.is(registry.connections, 1);
		} else {
			await until('the second connection', () => registry.connections === 2);
		}
		release();
		await pulling;
		t.is(registry.asksFor(image.layers[0] ?? layerOf()), isKnown ? 0 : 1);
		t.is(registry.connections, isKnown ? 1 : 2);
	}
});

story('layers come while the config still does, and are unpacked once it has; one that is wrong fails the pull', async (t, corner) => {
	for (const isWrong of [false, true]) {
		const image = imageOf([layerOf(500_000), layerOf()]);
		const {promise: released, resolve: release} = Promise.withResolvers<void>();
		await using registry = await SmallRegistry.start(image.manifest, [image], ({path: asked}, response, own) => {
			if (!asked.endsWith(image.config.digest)) {
				return false;
			}
			void released.then(() => own.serve(isWrong ? {...image.config, bytes: Buffer.alloc(image.config.bytes.length, ' ')} : image.config, response));
			return true;
		});
		const unpacked = new Set<string>();
		const pulling = corner.pull(registry.reference, {name: `wrong-${isWrong}`, progress: ({event, name}) => event === 'extracted' && unpacked.add(name)});
		const outcome = Promise.allSettled([pulling]);
		await until('the layers to be asked for', () => image.layers.every(layer => registry.asksFor(layer) === 1));
		t.deepEqual([...unpacked], []);
		release();
		const [{status}] = await outcome;
		t.is(status, isWrong ? 'rejected' : 'fulfilled');
		t.is(unpacked.size, isWrong ? 0 : 2);
	}
	t.is((await corner.holds()).snapshots.length, 2);
});

story('layers are unpacked while the lowest one still comes, and stand in their order in the end', async (t, corner) => {
	const image = imageOf([layerOf(12_000_000), layerOf(), layerOf()]);
	const [lowest = layerOf(), ...others] = image.layers;
	const {promise: released, resolve: release} = Promise.withResolvers<void>();
	await using registry = await SmallRegistry.start(image.manifest, [image], ({path: asked, range}, response) => {
		if (!asked.endsWith(lowest.digest) || range !== undefined) {
			return false;
		}
		response.writeHead(200, {'content-length': lowest.size}).write(lowest.bytes.subarray(0, 9_000_000));
		void released.then(() => response.end(lowest.bytes.subarray(9_000_000)));
		return true;
	});
	const unpacked = new Set<string>();
	const pulling = corner.pull(registry.reference, {progress: ({event, name}) => event === 'extracted' && unpacked.add(name)});
	await until('the other layers to be unpacked', async () => others.every(({digest}) => unpacked.has(`layer-${digest}`)));
	// What came of the lowest lies in its directory already: most of it, since what inflates reads in pieces.
	const snapshots = corner.scope.snapshotter(corner.snapshotter);
	await until('the bytes that came to be unpacked', async () => {
		for await (const {name, kind} of snapshots.list()) {
			const [mount] = kind === 'active' && name.includes(lowest.diffId) ? await snapshots.mounts(name) : [];
			if (mount !== undefined && (await sizesIn(mount.source)).some(size => size > 1_000_000)) {
				return true;
			}
		}
		return false;
	});
	t.false(unpacked.has(`layer-${lowest.digest}`));
	t.deepEqual((await Array.fromAsync(snapshots.list())).filter(({kind}) => kind === 'committed'), []);
	release();
	await pulling;
	const chain = chainIds(image.layers);
	for (const [at, name] of chain.entries()) {
		t.is((await snapshots.stat(name)).parent, chain[at - 1] ?? '');
	}
});

story('what a layer takes from those below is there, whichever of them was unpacked first', async (t, corner) => {
	const layers = [
		layerMade([{name: 'kept/', mode: 0o2750, uid: 42, gid: 43, mtimeNs: 1_500_000_000_000_000_000n}, {name: 'kept/file', body: 'of the lowest', uid: 7}, {name: 'gone', body: 'x'}]),
		layerMade([{name: 'kept/added', body: 'x'}, {name: 'kept/new/added', body: 'x'}, {name: '.wh.gone', body: ''}]),
		layerMade([{name: 'second-name', type: 'link', linkName: 'kept/file', uid: 7}]),
	];
	const image = imageOf(layers);
	await using registry = await SmallRegistry.start(image.manifest, [image]);
	await using place = await Workplace.open();
	await corner.pull(registry.reference);
	const mounts = await corner.scope.snapshotter(corner.snapshotter).view('look', chainIds(layers)[2] ?? '');
	await place.mounted(mounts, async root => {
		const {mode, uid, gid, mtimeMs} = await stat(path.join(root, 'kept'));
		t.deepEqual({mode, uid, gid, mtimeMs}, {mode: 0o42750, uid: 42, gid: 43, mtimeMs: 1_500_000_000_000});
		// Made in a directory with set-group-ID.
		t.is((await stat(path.join(root, 'kept/new'))).gid, 43);
		t.is(await readFile(path.join(root, 'second-name'), 'utf8'), 'of the lowest');
		await t.throwsAsync(stat(path.join(root, 'gone')), {code: 'ENOENT'});
	});
});

function layerMade(entries: readonly SuiteEntry[]): MadeLayer {
	const tar = tarOf(entries);
	return {...partOf(mediaTypes.ociLayerGzip, gzipSync(tar)), diffId: digestOf(tar)};
}

async function sizesIn(directory: string): Promise<number[]> {
	return Promise.all((await readdir(directory)).map(async name => (await stat(path.join(directory, name))).size));
}
