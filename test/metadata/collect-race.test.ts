import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import {descriptorOf, digestOf, hasContent, put} from '../../contracts/metadata/metadata-story.suite.ts';
import type {Digest} from '../../contracts/oci/digest.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {MemorySnapshotter} from '../helpers/memory-snapshot.ts';
import {sqliteInMemory, strictLog} from './sqlite-in-memory.ts';

test('two collections never run at once, whenever the next is asked for', async t => {
	for (let steps = 0; steps < 12; steps++) {
		let running = 0;
		let most = 0;
		let ended = 0;
		const late = Promise.withResolvers<unknown>();
		await using house = sqliteInMemory({log: {...strictLog, debug: () => {
			running--;
			if (ended++ === 0) {
				late.resolve(afterMicrotasks(steps).then(async () => house.collect()));
			}
		}}});
		using _watch = house.watch(({hasCollected = false}) => {
			running += hasCollected ? 1 : 0;
			most = Math.max(most, running);
		});
		// Two to begin with; the third comes between the end of the first and the start of the second.
		await Promise.all([house.collect(), house.collect(), late.promise]);
		t.is(most, 1, `after ${steps} steps`);
	}
});

test('a blob that goes while a writer asks for it is not said to exist', async t => {
	const content = new SlowContentStore();
	await using house = sqliteInMemory({content});
	const scope = house.scope({namespace: 'n'});
	const digest = await put(scope, 'text');
	content.hold();
	const opening = scope.content.writer({ref: 'again', expected: digest});
	await house.collect();
	t.false(await hasContent(scope, digest));
	content.letGo();
	{
		await using writer = await opening;
		await writer.write(Buffer.from('text'));
		await writer.commit();
	}
	await using reader = await scope.content.open(digest);
	t.is(Buffer.concat(await Array.fromAsync(reader.read())).toString(), 'text');
});

test('a snapshot that the bare snapshotter brings itself is there for as long as its row is', async t => {
	for (let turns = 0; turns < 25; turns++) {
		const snapshotter = new RemoteSnapshotter();
		await using house = sqliteInMemory({snapshotter, turnMs: 0});
		const scope = house.scope({namespace: 'n'});
		const snapshots = scope.snapshotter('memory');
		await scope.leases.create({id: 'l', labels: {}});
		await scope.leases.add('l', {type: 'snapshots/memory', id: 'target'});
		await t.throwsAsync(snapshots.prepare('left-over', '', {labels: {'containerd.io/snapshot.ref': 'other'}}), {code: 'ALREADY_EXISTS'});
		const collecting = house.collect();
		for (let turn = 0; turn < turns; turn++) {
			await nextTurn();
		}
		await t.throwsAsync(snapshots.prepare('key', '', {labels: {'containerd.io/snapshot.ref': 'target'}}), {code: 'ALREADY_EXISTS'});
		await collecting;
		for (const {backend} of house.database.all<{backend: string}>('SELECT backend FROM snapshot')) {
			await t.notThrowsAsync(snapshotter.stat(backend), `after ${turns} turns`);
		}
	}
});

test('what a long collection has not removed yet has all that it refers to', async t => {
	await using house = sqliteInMemory({turnMs: 0});
	const scope = house.scope({namespace: 'n'});
	const count = 250;
	for (let index = 0; index < count; index++) {
		await put(scope, `link ${index}`, {'containerd.io/gc.ref.content': digestOf(`link ${index + 1}`)});
	}
	const digests = Array.from({length: count}, (_, index) => digestOf(`link ${index}`));
	const sizes = new Set<number>();
	let lateSize = 0;
	const ended = new AbortController();
	const collecting = house.collect().finally(() => {
		ended.abort();
	});
	while (!ended.signal.aborted) {
		await nextTurn();
		const there = new Set(house.database.all<{digest: Digest}>('SELECT digest FROM content').map(({digest}) => digest));
		sizes.add(there.size);
		t.deepEqual([...there].toSorted(), digests.slice(count - there.size).toSorted());
		if (there.size < count && lateSize === 0) {
			lateSize = there.size;
			await scope.images.create({name: 'late', labels: {}, target: descriptorOf(`link ${count - there.size}`)});
		}
	}
	await collecting;
	// The image came in the middle, and what was left by then it keeps.
	t.true(lateSize > 0);
	t.deepEqual([...sizes], [count, lateSize]);
});

async function afterMicrotasks(count: number): Promise<void> {
	for (let step = 0; step < count; step++) {
		await Promise.resolve();
	}
}

/** Answers `info` late while it is told to. */
class SlowContentStore extends MemoryContentStore {
	#gate: PromiseWithResolvers<void> | undefined;

	hold(): void {
		this.#gate = Promise.withResolvers();
	}

	letGo(): void {
		this.#gate?.resolve();
		this.#gate = undefined;
	}

	override async info(digest: Digest): ReturnType<MemoryContentStore['info']> {
		const info = await super.info(digest);
		await this.#gate?.promise;
		return info;
	}
}

/** Brings what a label names, as a snapshotter that fetches by itself does, and takes a few turns for everything. */
class RemoteSnapshotter extends MemorySnapshotter {
	override async prepare(...[key, parent, options]: Parameters<MemorySnapshotter['prepare']>): ReturnType<MemorySnapshotter['prepare']> {
		const target = options?.labels?.['containerd.io/snapshot.ref'];
		const mounts = await super.prepare(key, parent, options);
		if (target === undefined) {
			return mounts;
		}
		await super.commit(`remote-${target}`, key, options);
		await nextTurn();
		await nextTurn();
		await nextTurn();
		throw new KeelsonError('ALREADY_EXISTS', `target ${target}: already exists`);
	}

	override async remove(name: string): Promise<void> {
		await nextTurn();
		await nextTurn();
		await nextTurn();
		await super.remove(name);
	}

	override async *list(...parameters: Parameters<MemorySnapshotter['list']>): ReturnType<MemorySnapshotter['list']> {
		for await (const info of super.list(...parameters)) {
			yield info;
			await nextTurn();
		}
	}
}
