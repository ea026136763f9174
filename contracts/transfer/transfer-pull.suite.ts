import type {Platform} from '../oci/platform.ts';
import {chainIds, imageOf, indexOf, layerOf} from './transfer-images.suite.ts';
import {SmallRegistry} from './transfer-registry.suite.ts';
import type {Story} from './transfer-story.suite.ts';
import type {TransferProgress} from './transfer.ts';

const arm: Platform = {os: 'linux', architecture: 'arm64', variant: 'v8'};
const amd: Platform = {os: 'linux', architecture: 'amd64', variant: ''};
const s390: Platform = {os: 'linux', architecture: 's390x', variant: ''};

/** What a pull brings. */
export function pullStories(story: Story): void {
	story('a pulled image is named, whole and unpacked, stays when collected, and goes when it is removed', async (t, corner) => {
		const image = imageOf();
		await using registry = await SmallRegistry.start(image.manifest, [image]);
		const [made] = await corner.pull(registry.reference, {labels: {color: 'teal'}});
		t.is(made?.name, 'image');
		t.is(made?.target.digest, image.manifest.digest);
		t.deepEqual(made?.labels, {color: 'teal'});
		await corner.collect();
		t.deepEqual(await corner.holds(), {
			images: ['image'], leases: [], ingests: [],
			content: [image.manifest, image.config, ...image.layers].map(({digest}) => digest as string).toSorted(),
			snapshots: chainIds(image.layers).map(String).toSorted(),
		});
		const [lowest, top] = chainIds(image.layers);
		t.is((await corner.scope.snapshotter(corner.snapshotter).stat(top ?? '')).parent, lowest ?? '');
		await corner.scope.images.delete('image');
		await corner.holdsNothing();
	});

	story('without a name the image is called by its reference', async (t, corner) => {
		const image = imageOf();
		await using registry = await SmallRegistry.start(image.manifest, [image]);
		const [made] = await corner.pull(registry.reference, {name: '', unpacks: []});
		t.is(made?.name, registry.reference);
		t.deepEqual((await corner.holds()).snapshots, []);
	});

	story('of an index come the platforms that are asked for, or all, or the best', async (t, corner) => {
		const images = [imageOf([layerOf()], arm), imageOf([layerOf()], amd), imageOf([layerOf()], s390)];
		const [first, second] = images;
		await using registry = await SmallRegistry.start(indexOf(images.map(({manifest}) => manifest)), images);
		const counts = async (more: object): Promise<number> => {
			const other = corner.other;
			await other.pull(registry.reference, {unpacks: [], ...more});
			await other.collect();
			return (await other.holds()).content.length;
		};
		t.is(await counts({}), 10);
		t.is(await counts({platforms: [arm]}), 4);
		t.is(await counts({platforms: [arm, s390]}), 7);
		t.is(await counts({platforms: [arm], allMetadata: true}), 8);
		t.is(await counts({manifestLimit: 1}), 4);
		const before = registry.asksFor(second?.layers[0] ?? layerOf());
		const limited = corner.other;
		await limited.pull(registry.reference, {unpacks: [], platforms: [s390, arm], manifestLimit: 1});
		t.true((await limited.holds()).content.includes(first?.layers[0]?.digest ?? ''));
		t.is(registry.asksFor(second?.layers[0] ?? layerOf()), before);
		const none = corner.other;
		await t.throwsAsync(none.pull(registry.reference, {platforms: [{os: 'plan9', architecture: 'mips', variant: ''}]}), {code: 'NOT_FOUND'});
		await none.holdsNothing();
	});

	story('a layer that an image has twice is fetched once, and one that is here not at all', async (t, corner) => {
		const [shared, own] = [layerOf(), layerOf()];
		const twice = imageOf([shared, own, shared]);
		await using registry = await SmallRegistry.start(twice.manifest, [twice]);
		await corner.pull(registry.reference);
		t.is(registry.asksFor(shared), 1);
		t.is((await corner.holds()).snapshots.length, 3);
		await corner.pull(registry.reference);
		t.is(registry.asked.filter(({method}) => method === 'GET').length, 4);
		const next = imageOf([shared, layerOf()]);
		await using second = await SmallRegistry.start(next.manifest, [next]);
		await corner.pull(second.reference, {name: 'next'});
		t.is(second.asksFor(shared), 0);
		await corner.collect();
		t.is((await corner.holds()).snapshots.length, 4);
	});

	story('two pulls of one image at once fetch each blob once, and the second lives on when the first is cancelled', async (t, corner) => {
		const image = imageOf([layerOf(), layerOf(), layerOf()]);
		const cancelling = new AbortController();
		await using registry = await SmallRegistry.start(image.manifest, [image], ({path}, response, self) => {
			if (!path.endsWith(image.layers[2]?.digest ?? '') || self.asksFor(image.layers[2] ?? image.config) > 1) {
				return false;
			}
			// The first to ask for the last layer is cancelled while it waits.
			response.writeHead(200, {'content-length': image.layers[2]?.size ?? 0}).write(image.layers[2]?.bytes.subarray(0, 100));
			setTimeout(() => {
				cancelling.abort();
				// Whoever of the two it was: nobody has more of this answer.
				setTimeout(() => response.destroy(), 100);
			}, 200);
			return true;
		});
		const first = corner.pull(registry.reference, {signal: cancelling.signal, name: 'first'});
		const second = corner.pull(registry.reference, {name: 'second'});
		const [one, two] = await Promise.allSettled([first, second]);
		const cancelled = [one, two].filter(({status}) => status === 'rejected');
		t.true(cancelled.length <= 1);
		for (const layer of [image.config, ...image.layers.slice(0, 2)]) {
			t.is(registry.asksFor(layer), 1);
		}
		t.is(two.status, 'fulfilled');
		await corner.collect();
		t.is((await corner.holds()).snapshots.length, 3);
		t.deepEqual((await corner.holds()).leases, []);
	});

	story('what breaks off is gone on with, from where it broke', async (t, corner) => {
		const image = imageOf([layerOf(200_000)]);
		const [layer] = image.layers;
		await using registry = await SmallRegistry.start(image.manifest, [image], ({path, range}, response) => {
			if (layer === undefined || !path.endsWith(layer.digest) || range !== undefined) {
				return false;
			}
			response.writeHead(200, {'content-length': layer.size}).write(layer.bytes.subarray(0, 70_000), () => {
				setTimeout(() => response.destroy(), 50);
			});
			return true;
		});
		await corner.pull(registry.reference);
		t.deepEqual(registry.asked.filter(({path}) => path.endsWith(layer?.digest ?? '')).map(({range}) => range), [undefined, 'bytes=70000-']);
	});

	story('a broken pull under the client\'s lease keeps what came, and the next goes on', async (t, corner) => {
		const image = imageOf([layerOf(200_000)]);
		const [layer] = image.layers;
		let isBroken = true;
		await using registry = await SmallRegistry.start(image.manifest, [image], ({path, range}, response) => {
			if (layer === undefined || !path.endsWith(layer.digest) || !isBroken) {
				return false;
			}
			if (range === undefined) {
				response.writeHead(200, {'content-length': layer.size}).write(layer.bytes.subarray(0, 70_000), () => {
					setTimeout(() => response.destroy(), 50);
				});
			} else {
				response.writeHead(503).end();
			}
			return true;
		});
		const {id: lease} = await corner.scope.leases.create({id: 'mine', labels: {}});
		await t.throwsAsync(corner.pull(registry.reference, {lease}), {code: 'UNAVAILABLE'});
		await corner.collect();
		t.deepEqual((await corner.scope.content.statuses()).map(({offset}) => offset), [70_000]);
		isBroken = false;
		await corner.pull(registry.reference, {lease});
		t.is(registry.asked.at(-1)?.range, 'bytes=70000-');
		await corner.scope.leases.delete(lease);
		await corner.collect();
		t.is((await corner.holds()).images.length, 1);
	});

	story('a pull says what it does, in containerd\'s words', async (t, corner) => {
		const image = imageOf([layerOf()]);
		const [layer] = image.layers;
		const index = indexOf([image.manifest]);
		await using registry = await SmallRegistry.start(index, [image]);
		const said: TransferProgress[] = [];
		await corner.pull(registry.reference, {progress: one => said.push(one)});
		const place = `OCI Registry (${registry.reference})`;
		t.deepEqual(said.filter(({name}) => name === '').map(({event}) => event), [`Resolving from ${place}`, `Pulling from ${place}`, `Completed pull from ${place}`]);
		t.deepEqual(said.filter(({name}) => name === registry.reference).map(({event}) => event), ['fetching image content']);
		t.is(said.find(({event}) => event === 'saved')?.name, 'image');
		const eventsOf = (digest = ''): string[] => said.filter(({name}) => name.endsWith(digest)).map(({event}) => event).filter((event, at, all) => event !== all[at - 1]);
		t.deepEqual(eventsOf(index.digest), ['waiting', 'downloading', 'complete']);
		t.deepEqual(eventsOf(layer?.digest), ['waiting', 'downloading', 'complete', 'extracting', 'extracted']);
		const parentsOf = (digest = ''): readonly string[] => said.find(({name}) => name.endsWith(digest))?.parents ?? [];
		t.deepEqual(parentsOf(index.digest), [registry.reference]);
		t.deepEqual(parentsOf(image.manifest.digest), [`index-${index.digest}`]);
		t.deepEqual(parentsOf(layer?.digest), [`manifest-${image.manifest.digest}`]);
		said.length = 0;
		await corner.pull(registry.reference, {progress: one => said.push(one)});
		t.deepEqual(eventsOf(layer?.digest), ['already exists']);
	});
}
