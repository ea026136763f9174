import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {mkdir, open, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {promisify} from 'node:util';
import test from 'ava';
import * as fc from 'fast-check';
import {Growth} from '../../contracts/content/growth.ts';
import {layerOf, tarOf, Workplace} from '../../contracts/diff/diff-subject.suite.ts';
import type {ApartLayer, Differ, LayerBytes} from '../../contracts/diff/diff.ts';
import {zstdFrameOf} from '../../contracts/diff/lazy-layers.suite.ts';
import {listTree} from '../../contracts/diff/tree-listing.suite.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {generatedImages, generatedTars, tarOfGenerated} from '../helpers/generated-layers.ts';
import {layer, type Layer} from '../helpers/oci-image.ts';
import {oddLayers} from '../helpers/odd-layers.ts';
import {createDiffer, inflations} from '../helpers/tar-differ.ts';

// Assertions within a property throw, so that it is fast-check that says what failed: the smallest image, and the seed that finds it again.

test('layers of generated images, applied at once and joined, are what applying them in order makes', async t => {
	await using differ = await createDiffer('builtin');
	await t.notThrowsAsync(fc.assert(fc.asyncProperty(generatedImages, async image => {
		await using place = await Workplace.open();
		const layers = image.map(one => layer(tarOfGenerated(one), 'none'));
		await sameBothWays(differ, place, layers);
	}), {numRuns: 120}));
});

test('odd layers, applied at once and joined, are what applying them in order makes', async t => {
	await using differ = await createDiffer();
	await using place = await Workplace.open();
	t.is(await sameBothWays(differ, place, oddLayers([])), 5);
});

test('a directory may give way to something else in the archive that has files in it, whatever names it had', async t => {
	await using differ = await createDiffer('builtin');
	await using place = await Workplace.open();
	const layers = [
		[{name: 'b/c/'}, {name: 'b/c/a'}],
		[{name: 'b/c/a'}, {name: 'b', body: 'a file now'}],
		[{name: 'x/y/'}, {name: 'x/y/z/'}, {name: 'alias', type: 'symlink', linkName: 'x'}, {name: 'alias/y/w/'}, {name: 'other/y/z/', mtimeNs: 5_000_000_000n}, {name: 'x', type: 'symlink', linkName: 'other'}],
		[{name: 'd/e/f/'}, {name: 'to', type: 'symlink', linkName: 'd'}, {name: 'to/e/g/'}, {name: 'd', body: 'a file now'}],
	] as const;
	t.is(await sameBothWays(differ, place, layers.map(entries => layer(tarOf(entries), 'none'))), layers.length);
	// What came in its place has its own times.
	t.is((await stat(place.at('order-2/other/y/z'))).mtimeMs, 5000);
});

test('what GNU tar makes of generated archives is what we make of them', async t => {
	await using differ = await createDiffer('builtin');
	await t.notThrowsAsync(fc.assert(fc.asyncProperty(generatedTars, async one => {
		await using place = await Workplace.open();
		const bytes = tarOfGenerated(one);
		await writeFile(place.at('layer.tar'), bytes);
		await mkdir(place.at('theirs'));
		await promisify(execFile)('tar', ['-x', '--xattrs', '--xattrs-include=*', '-p', '--same-owner', '-f', place.at('layer.tar'), '-C', place.at('theirs')]);
		await differ.apply(layerOf(bytes), await place.bind('ours'));
		assert.deepEqual(listTree(place.at('ours')), listTree(place.at('theirs')));
	}), {numRuns: 60}));
});

for (const inflation of inflations) {
	for (const compression of ['gzip', 'zstd', 'none'] as const) {
		test(`a layer is applied while its file grows: ${compression}, ${inflation}`, async t => {
			await using differ = await createDiffer(inflation);
			await using place = await Workplace.open();
			const body = randomBytes(3_000_000);
			const one = layer(tarOf([{name: 'dir/'}, {name: 'dir/big', body}, {name: 'last', body: 'last'}]), compression);
			const growing = await GrowingLayer.of(place, one);
			const applied = differ.apply(growing.bytes, await place.bind('tree'));
			for (const end of [2, 700, 2000, 2001, one.bytes.length >> 1, one.bytes.length]) {
				await growing.writeTo(end);
				await new Promise(resolve => setTimeout(resolve, 15));
			}
			// Slow: its thread takes another layer meanwhile.
			await new Promise(resolve => setTimeout(resolve, 300));
			growing.growth.finish();
			t.is(one.diffId, (await applied).digest);
			await differ.apply(layerOf(one.bytes, one.mediaType), await place.bind('whole'));
			t.deepEqual(listTree(place.at('tree')), listTree(place.at('whole')));
		});
	}
}

test('a file that is given up ends its layer, and no other layer waits for one that is slow', async t => {
	await using differ = await createDiffer();
	await using place = await Workplace.open();
	const one = layer(tarOf([{name: 'big', body: Buffer.alloc(3_000_000, 'x')}]));
	const slow = await Promise.all(Array.from({length: 5}, async () => GrowingLayer.of(place, one)));
	const waiting = slow.map(async ({bytes}, at) => differ.apply(bytes, await place.bind(`slow-${at}`)));
	for (const growing of slow) {
		await growing.writeTo(1000);
	}
	// Five layers wait for bytes in two threads; a sixth is applied all the same.
	await differ.apply(layerOf(one.bytes, one.mediaType), await place.bind('quick'));
	const [given, ...others] = slow;
	given?.growth.abandon();
	await t.throwsAsync(waiting[0] ?? Promise.resolve(), {code: 'ABORTED'});
	for (const growing of others) {
		await growing.writeTo(one.bytes.length);
		growing.growth.finish();
	}
	for (const {digest} of await Promise.all(waiting.slice(1))) {
		t.is(one.diffId, digest);
	}
});

for (const inflation of inflations) {
	test(`bytes that are wrong or end early are found out while the file grows: ${inflation}`, async t => {
		await using differ = await createDiffer(inflation);
		await using place = await Workplace.open();
		const one = layer(tarOf([{name: 'big', body: Buffer.alloc(3_000_000, 'x').map((_, at) => at * 7 % 251)}]));
		const damaged = Buffer.from(one.bytes);
		damaged.fill(0xff, damaged.length >> 1, (damaged.length >> 1) + 200);
		for (const [at, bytes] of [damaged, one.bytes.subarray(0, one.bytes.length - 100)].entries()) {
			const growing = await GrowingLayer.of(place, {...one, bytes});
			const applied = differ.apply(growing.bytes, await place.bind(`tree-${at}`));
			await growing.writeTo(bytes.length);
			growing.growth.finish();
			const error = await t.throwsAsync(applied);
			t.true(isKeelsonError(error, 'DATA_LOSS') || isKeelsonError(error, 'INVALID_ARGUMENT'), String(error));
		}
	});
}

for (const inflation of inflations) {
	test(`a window of zstd of up to 128 MiB is taken, and a larger one refused: ${inflation}`, async t => {
		await using differ = await createDiffer(inflation);
		await using place = await Workplace.open();
		const archive = tarOf([{name: 'small', body: 'small'}]);
		await differ.apply(layerOf(zstdFrameOf(27, archive), mediaTypes.ociLayerZstd), await place.bind('taken'));
		t.is(await readFile(place.at('taken/small'), 'utf8'), 'small');
		await t.throwsAsync(differ.apply(layerOf(zstdFrameOf(28, archive), mediaTypes.ociLayerZstd), await place.bind('refused')), {code: 'RESOURCE_EXHAUSTED', message: /window of more than 128 MiB/v});
	});
}

/** A layer whose file is written piece by piece. */
class GrowingLayer {
	readonly growth = new Growth();
	readonly bytes: LayerBytes;
	readonly #layer: Layer;
	readonly #file: string;
	#written = 0;

	private constructor(one: Layer, file: string) {
		this.#layer = one;
		this.#file = file;
		this.bytes = {...layerOf(one.bytes, one.mediaType), file, growth: this.growth.shared};
	}

	static async of(place: Workplace, one: Layer): Promise<GrowingLayer> {
		const {file = ''} = await place.file(Buffer.alloc(0));
		return new GrowingLayer(one, file);
	}

	async writeTo(end: number): Promise<void> {
		await using handle = await open(this.#file, 'r+');
		await handle.write(this.#layer.bytes, this.#written, end - this.#written, this.#written);
		this.#written = end;
		this.growth.reach(end);
	}
}

/** @returns how many layers were applied; the two ways agree in what they refuse, too */
async function sameBothWays(differ: Differ, place: Workplace, layers: readonly Layer[]): Promise<number> {
	// The kernel's time stamps are some milliseconds late.
	const startNs = BigInt(Date.now() - 1000) * 1_000_000n;
	const apart = await Promise.allSettled(layers.map(async (one, at) => at === 0 ? undefined : differ.applyApart?.(layerOf(one.bytes, one.mediaType), await upper(place, `apart-${at}`))));
	for (const [at, one] of layers.entries()) {
		const [inOrder] = await Promise.allSettled([applyOn(differ, place, one, {name: 'order', at})]);
		const [joined] = await Promise.allSettled([joinOn(differ, place, one, {at, applied: apart[at]})]);
		if (inOrder.status === 'rejected' || joined.status === 'rejected') {
			assert.deepEqual([inOrder, joined].map(outcome => outcome.status === 'rejected' ? (outcome.reason as {code?: unknown}).code : 'applied'), ['INVALID_ARGUMENT', 'INVALID_ARGUMENT'], JSON.stringify([inOrder, joined], (_, value: unknown) => value instanceof Error ? value.message : value));
			return at;
		}
		// What no archive gave a time has that of the moment.
		const comparable = (root: string): readonly string[] => listTree(root).map(line => line.replaceAll(/ (\d{19}) /gv, (all, time: string) => BigInt(time) >= startNs ? ' now ' : all));
		assert.deepEqual(comparable(place.at(`apart-${at}`)), comparable(place.at(`order-${at}`)), `layer ${at}`);
	}
	return layers.length;
}

async function applyOn(differ: Differ, place: Workplace, one: Layer, {name, at}: {readonly name: string; readonly at: number}): Promise<void> {
	const lower = Array.from({length: at}, (_, index) => `${name}-${at - 1 - index}`);
	const mounts = at === 0 ? await place.bind(`${name}-0`) : await place.overlay(`${name}-${at}`, ...lower);
	const {digest} = await differ.apply(layerOf(one.bytes, one.mediaType), mounts);
	assert.equal(digest, one.diffId);
}

async function joinOn(differ: Differ, place: Workplace, one: Layer, {at, applied}: {readonly at: number; readonly applied: PromiseSettledResult<ApartLayer | undefined> | undefined}): Promise<void> {
	if (at === 0) {
		await applyOn(differ, place, one, {name: 'apart', at});
		return;
	}
	try {
		if (applied?.status === 'rejected') {
			throw applied.reason;
		}
		assert(applied?.value !== undefined);
		assert.equal(applied.value.digest, one.diffId);
		await (applied.value.needsJoin ? applied.value.join(view(place, at)) : undefined);
	} catch (error) {
		if (!isKeelsonError(error, 'ABORTED')) {
			throw error;
		}
		await rm(place.at(`apart-${at}`), {recursive: true});
		await applyOn(differ, place, one, {name: 'apart', at});
	}
}

async function upper(place: Workplace, name: string): Promise<readonly Mount[]> {
	return [{type: 'overlay', source: 'overlay', target: '', options: [`workdir=${await place.make(`${name}.work`)}`, `upperdir=${await place.make(name)}`, 'index=off']}];
}

function view(place: Workplace, at: number): readonly Mount[] {
	const layers = Array.from({length: at}, (_, index) => place.at(`apart-${at - 1 - index}`));
	const [only = ''] = layers;
	return layers.length === 1
		? [{type: 'bind', source: only, target: '', options: ['ro', 'rbind']}]
		: [{type: 'overlay', source: 'overlay', target: '', options: [`lowerdir=${layers.join(':')}`]}];
}
