import test from 'ava';
import {imageOf, layerOf, chainIds} from '../../contracts/transfer/transfer-images.suite.ts';
import {SmallRegistry} from '../../contracts/transfer/transfer-registry.suite.ts';
import {storiesOf} from '../../contracts/transfer/transfer-story.suite.ts';
import {Slots} from '../../plugins/transfer-local/limit.ts';
import {createHouse} from './house.ts';

const never = new AbortController().signal;

test('so many are at work at once, and the others come in their order', async t => {
	const slots = new Slots(2);
	const order: number[] = [];
	let atWork = 0;
	let most = 0;
	await Promise.all(Array.from({length: 7}, async (_, at) => slots.run(never, async () => {
		order.push(at);
		most = Math.max(most, ++atWork);
		await new Promise(resolve => setTimeout(resolve, 5));
		atWork--;
	})));
	t.deepEqual(order, [0, 1, 2, 3, 4, 5, 6]);
	t.is(most, 2);
});

test('work that fails gives its slot back, and who gives up takes none', async t => {
	const slots = new Slots(1);
	const {promise, resolve} = Promise.withResolvers<void>();
	const failing = slots.run(never, async () => {
		await promise;
		throw new Error('no luck');
	});
	const giving = new AbortController();
	const given = slots.run(giving.signal, async () => t.fail());
	const last = slots.run(never, async () => 'done');
	giving.abort(new Error('gave up'));
	await t.throwsAsync(given, {message: 'gave up'});
	resolve();
	await t.throwsAsync(failing, {message: 'no luck'});
	t.is(await last, 'done');
	await t.throwsAsync(slots.run(giving.signal, async () => t.fail()), {message: 'gave up'});
	t.is(await slots.run(never, async () => 'again'), 'again');
});

const story = storiesOf(test, {name: 'transfer-local, one unpack at a time', snapshotter: 'overlayfs', create: async () => createHouse({
	plugins: {'io.containerd.transfer.v1.local': {max_concurrent_unpacks: 1, max_concurrent_downloads: 1}},
})});

story('layers of which the larger lie above are asked for largest first, and stand in their order', async (t, corner) => {
	const image = imageOf([layerOf(1000), layerOf(20_000), layerOf(2_000_000), layerOf(300_000)]);
	const asked: string[] = [];
	await using registry = await SmallRegistry.start(image.manifest, [image], ({path}) => {
		const layer = image.layers.findIndex(({digest}) => path.endsWith(digest));
		if (layer !== -1) {
			asked.push(String(layer));
		}
		return false;
	});
	await corner.pull(registry.reference);
	t.deepEqual(asked, ['2', '3', '1', '0']);
	const chain = chainIds(image.layers);
	const snapshots = corner.scope.snapshotter(corner.snapshotter);
	for (const [at, name] of chain.entries()) {
		t.is((await snapshots.stat(name)).parent, chain[at - 1] ?? '');
	}
});
