import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {inPieces, intoMemory, storiesOf} from '../../contracts/transfer/transfer-story.suite.ts';
import {Docker} from '../helpers/docker.ts';
import {Registry} from '../helpers/registry.ts';
import {pushTestImages, type TestImages} from '../helpers/test-images.ts';
import {createHouse} from './house.ts';

/** `docker load` reads what we export, and we import what `docker save` writes. */
const story = storiesOf(test, {name: 'docker', snapshotter: 'overlayfs', create: createHouse});
const lifetime = new AsyncDisposableStack();
let shop: {images: TestImages; docker: Docker};

test.before(async t => {
	t.timeout(120_000);
	const registry = lifetime.use(await Registry.start());
	const images = await pushTestImages(registry);
	shop = {images, docker: lifetime.use(await Docker.start())};
});

test.after.always(async () => {
	await lifetime.disposeAsync();
});

story('two images go to docker and come back as they were', async (t, corner) => {
	const {docker, images} = shop;
	await corner.pull(images.configured, {name: 'docker.io/local/configured:9'});
	await corner.pull(images.zstd, {name: 'localhost:5000/small:1'});
	const {end, bytes} = intoMemory();
	await corner.transfer({source: {kind: 'store', name: 'docker.io/local/configured:9', extraReferences: [{name: 'localhost:5000/small:1', isPrefix: false, allowOverwrite: false, addDigest: false, skipNamedDigest: false}]}, destination: end});
	const [given, taken] = [path.join(docker.directory, 'given.tar'), path.join(docker.directory, 'taken.tar')];
	await writeFile(given, bytes());
	t.regex(await docker.ok('load', '-i', given), /Loaded image: local\/configured:9[\s\S]*Loaded image: localhost:5000\/small:1/);
	const inspected = async (name: string): Promise<{Config: {User: string}; RootFS: {Layers: string[]}}> => (JSON.parse(await docker.ok('image', 'inspect', name)) as [{Config: {User: string}; RootFS: {Layers: string[]}}])[0];
	t.is((await inspected('local/configured:9')).Config.User, 'keel');
	t.is((await inspected('localhost:5000/small:1')).RootFS.Layers.length, 1);

	await docker.ok('save', '-o', taken, 'local/configured:9', 'localhost:5000/small:1');
	const back = corner.other;
	const names = await back.transfer({
		source: {kind: 'import', mediaType: '', bytes: inPieces(await readFile(taken))},
		destination: {kind: 'store', name: '', unpacks: [{snapshotter: back.snapshotter}]},
	});
	t.deepEqual(names.map(({name}) => name).toSorted(), ['docker.io/local/configured:9', 'localhost:5000/small:1']);
	await corner.collect();
	// The layers are the same trees: docker keeps them unpacked, and what it packs anew unpacks to the same.
	t.deepEqual((await back.holds()).snapshots, (await corner.holds()).snapshots);
	t.deepEqual((await back.holds()).leases, []);
});
