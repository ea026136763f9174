import * as fc from 'fast-check';
import {containerOf, descriptorOf, digestOf} from '../../contracts/metadata/metadata-story.suite.ts';
import type {Scope} from '../../contracts/metadata/metadata.ts';
import type {Database} from '../../lib/sqlite/database.ts';

/** A small world: blobs 0…7 that refer to each other and to snapshots, snapshots s0…s5 each on an earlier one, and roots that point at some. */
export interface World {
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

export const BLOBS = 8;
export const SNAPSHOTS = 6;
export const blob = fc.nat({max: BLOBS - 1});
const snapshot = fc.nat({max: SNAPSHOTS - 1});
const each = <T>(count: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(arbitrary, {minLength: count, maxLength: count});

export const worlds: fc.Arbitrary<World> = fc.record({
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

/** The bytes of a blob. */
export const text = (index: number): string => `blob-${index}`;

/** Makes it in a namespace that has nothing yet: roots last, so nothing may collect meanwhile. */
export async function build(scope: Scope, world: World): Promise<void> {
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

/** What there is, by number, in ascending order. */
export interface Things {
	readonly blobs: readonly number[];
	readonly snapshots: readonly number[];
}

/** What is reachable, answered the plain way: until nothing is added any more. */
export function expected(world: World): Things {
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

/** What of `there` is reachable: what is gone leads nowhere. */
export function expectedOf(there: Things, world: World): Things {
	const ifThere = <T>(isThere: (index: number) => boolean, things: readonly T[], nothing: T): T[] => things.map((thing, index) => isThere(index) ? thing : nothing);
	const hasBlob = (index: number): boolean => there.blobs.includes(index);
	const hasSnapshot = (index: number): boolean => there.snapshots.includes(index);
	const {blobs, snapshots} = expected({
		...world,
		blobRefs: ifThere<readonly number[]>(hasBlob, world.blobRefs, []),
		blobSnapshots: ifThere(hasBlob, world.blobSnapshots, undefined),
		blobKeepers: ifThere(hasBlob, world.blobKeepers, undefined),
		rootLabels: ifThere(hasBlob, world.rootLabels, false),
		parents: ifThere(hasSnapshot, world.parents, undefined),
	});
	return {blobs: blobs.filter(hasBlob), snapshots: snapshots.filter(hasSnapshot)};
}

/** What has a row, all in one turn. */
export function found(database: Database): Things {
	const digests = new Set(database.all<{digest: string}>('SELECT digest FROM content').map(({digest}) => digest));
	const names = database.all<{name: string}>('SELECT name FROM snapshot').map(({name}) => Number(name.slice(1)));
	return {
		blobs: Array.from({length: BLOBS}, (_, index) => index).filter(index => digests.has(digestOf(text(index)))),
		snapshots: names.toSorted((a, b) => a - b),
	};
}
