import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import * as fc from 'fast-check';
import {containerOf, descriptorOf, digestOf} from '../../contracts/metadata/metadata-story.suite.ts';
import type {Scope} from '../../contracts/metadata/metadata.ts';
import {sqliteInMemory, type House} from './sqlite-in-memory.ts';

// A small world: blobs b0…b7 that refer to each other and to snapshots, snapshots s0…s5 each on an earlier one, and roots that point at some.
interface World {
	readonly blobRefs: ReadonlyArray<readonly number[]>;
	readonly blobSnapshots: ReadonlyArray<number | undefined>;
	readonly blobKeepers: ReadonlyArray<number | undefined>;
	readonly rootLabels: readonly boolean[];
	readonly parents: ReadonlyArray<number | undefined>;
	readonly images: readonly number[];
	readonly containers: readonly number[];
	readonly leased: readonly number[];
	readonly flat: readonly number[];
}

const BLOBS = 8;
const SNAPSHOTS = 6;
const blob = fc.nat({max: BLOBS - 1});
const snapshot = fc.nat({max: SNAPSHOTS - 1});
const each = <T>(count: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(arbitrary, {minLength: count, maxLength: count});

const worlds: fc.Arbitrary<World> = fc.record({
	blobRefs: each(BLOBS, fc.uniqueArray(blob, {maxLength: 3})),
	blobSnapshots: each(BLOBS, fc.option(snapshot, {nil: undefined, freq: 2})),
	blobKeepers: each(BLOBS, fc.option(blob, {nil: undefined, freq: 1})),
	rootLabels: each(BLOBS, fc.integer({min: 0, max: 9}).map(chance => chance === 0)),
	parents: each(SNAPSHOTS, fc.option(snapshot, {nil: undefined, freq: 2})),
	images: fc.uniqueArray(blob, {maxLength: 2}),
	containers: fc.uniqueArray(snapshot, {maxLength: 1}),
	leased: fc.uniqueArray(blob, {maxLength: 1}),
	flat: fc.uniqueArray(blob, {maxLength: 1}),
});

const text = (index: number): string => `blob-${index}`;

async function build({scope}: {scope: Scope}, world: World): Promise<void> {
	const snapshots = scope.snapshotter('memory');
	for (const [index, parent] of world.parents.entries()) {
		await snapshots.prepare(`key-${index}`, parent === undefined || parent >= index ? '' : `s${parent}`);
		await snapshots.commit(`s${index}`, `key-${index}`);
	}
	for (let index = 0; index < BLOBS; index++) {
		const below = world.blobSnapshots[index];
		const keeper = world.blobKeepers[index];
		await using writer = await scope.content.writer({ref: text(index)});
		await writer.write(Buffer.from(text(index)));
		await writer.commit({labels: {
			...Object.fromEntries((world.blobRefs[index] ?? []).map((to, at) => [`containerd.io/gc.ref.content.${at}`, digestOf(text(to))])),
			...(below === undefined ? {} : {'containerd.io/gc.ref.snapshot.memory': `s${below}`}),
			...(keeper === undefined ? {} : {'containerd.io/gc.bref.content': digestOf(text(keeper))}),
			...(world.rootLabels[index] === true ? {'containerd.io/gc.root': 'x'} : {}),
		}});
	}
	for (const index of world.images) {
		await scope.images.create({name: `i${index}`, labels: {}, target: descriptorOf(text(index))});
	}
	for (const index of world.containers) {
		await scope.containers.create(containerOf(`c${index}`, {snapshotter: 'memory', snapshotKey: `s${index}`}));
	}
	for (const [id, indices] of [['deep', world.leased], ['flat', world.flat]] as const) {
		await scope.leases.create({id, labels: id === 'flat' ? {'containerd.io/gc.flat': 'x'} : {}});
		for (const index of indices) {
			await scope.leases.add(id, {type: 'content', id: digestOf(text(index))});
		}
	}
}

// The same question, answered the plain way: until nothing is added any more.
function expected(world: World): {readonly blobs: readonly number[]; readonly snapshots: readonly number[]} {
	const full = new Set([...world.images, ...world.leased, ...world.rootLabels.flatMap((isRoot, index) => isRoot ? [index] : [])]);
	const blobs = new Set([...full, ...world.flat]);
	const snapshots = new Set(world.containers);
	for (let size = -1; size !== full.size + blobs.size + snapshots.size;) {
		size = full.size + blobs.size + snapshots.size;
		for (const index of full) {
			for (const to of world.blobRefs[index] ?? []) {
				full.add(to);
			}
			const below = world.blobSnapshots[index];
			if (below !== undefined) {
				snapshots.add(below);
			}
		}
		for (const [index, keeper] of world.blobKeepers.entries()) {
			// A flat lease keeps its blob, and with it what clings to the blob.
			if (keeper !== undefined && blobs.has(keeper)) {
				full.add(index);
			}
		}
		for (const index of full) {
			blobs.add(index);
		}
		for (const index of snapshots) {
			const parent = world.parents[index];
			if (parent !== undefined && parent < index) {
				snapshots.add(parent);
			}
		}
	}
	const sorted = (set: Set<number>): number[] => [...set].toSorted((a, b) => a - b);
	return {blobs: sorted(blobs), snapshots: sorted(snapshots)};
}

async function found(scope: Scope): Promise<ReturnType<typeof expected>> {
	const digests = new Set(await Array.fromAsync(scope.content.list(), ({digest}) => digest));
	const names = await Array.fromAsync(scope.snapshotter('memory').list(), ({name}) => Number(name.slice(1)));
	return {
		blobs: Array.from({length: BLOBS}, (_, index) => index).filter(index => digests.has(digestOf(text(index)))),
		snapshots: names.toSorted((a, b) => a - b),
	};
}

async function bareCounts({content, snapshotter}: House): Promise<{readonly blobs: number; readonly snapshots: number}> {
	return {blobs: (await Array.fromAsync(content.list())).length, snapshots: (await Array.fromAsync(snapshotter.list())).length};
}

test('what is reachable stays and everything else goes, rows and bytes alike', async t => {
	await fc.assert(fc.asyncProperty(worlds, async world => {
		await using house = sqliteInMemory();
		const scope = house.scope({namespace: 'n'});
		await build({scope}, world);
		await house.collect();
		const kept = expected(world);
		t.deepEqual(await found(scope), kept);
		t.deepEqual(await bareCounts(house), {blobs: kept.blobs.length, snapshots: kept.snapshots.length});
		t.like(await house.collect(), {removedContent: 0, removedSnapshots: 0});
	}), {numRuns: 200});
});

test('what becomes reachable while a collection runs stays', async t => {
	await fc.assert(fc.asyncProperty(worlds, blob, fc.nat({max: 20}), async (world, late, turns) => {
		await using house = sqliteInMemory({turnMs: 0});
		const scope = house.scope({namespace: 'n'});
		await build({scope}, world);
		const collecting = house.collect();
		for (let turn = 0; turn < turns; turn++) {
			await nextTurn();
		}
		// Either it is gone when the image comes, or it stays with all that it reaches.
		await scope.images.create({name: 'late', labels: {}, target: descriptorOf(text(late))});
		const isThere = await scope.content.info(digestOf(text(late))).then(() => true, () => false);
		await collecting;
		const after = await found(scope);
		if (isThere) {
			const kept = expected({...world, images: [...world.images, late]});
			t.deepEqual(kept.blobs.filter(index => !after.blobs.includes(index)), []);
			t.deepEqual(kept.snapshots.filter(index => !after.snapshots.includes(index)), []);
		}
		await house.collect();
		t.deepEqual((await bareCounts(house)).blobs, (await found(scope)).blobs.length);
	}), {numRuns: 100});
});
