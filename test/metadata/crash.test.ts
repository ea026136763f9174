import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {CommitSnapshotOptions, SnapshotOptions} from '../../contracts/snapshot/snapshot.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {digestOf, hasContent, put} from '../../contracts/metadata/metadata-story.suite.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {MemorySnapshotter} from '../helpers/memory-snapshot.ts';
import {sqliteInMemory, strictLog} from './sqlite-in-memory.ts';

async function databaseFile(t: ExecutionContext): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), 'keelson-metadata-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	return join(directory, 'meta.sqlite');
}

/** Stops for ever where a daemon that is killed would. */
class HaltingSnapshotter extends MemorySnapshotter {
	halt: 'nowhere' | 'before commit' | 'after commit' | 'after prepare' = 'nowhere';

	override async prepare(key: string, parent: string, options?: SnapshotOptions): Promise<readonly Mount[]> {
		const mounts = await super.prepare(key, parent, options);
		return this.halt === 'after prepare' ? new Promise(() => {}) : mounts;
	}

	override async commit(name: string, key: string, options?: CommitSnapshotOptions): Promise<void> {
		if (this.halt === 'before commit') {
			return new Promise(() => {});
		}
		await super.commit(name, key, options);
		return this.halt === 'after commit' ? new Promise(() => {}) : undefined;
	}
}

async function settle(): Promise<void> {
	await new Promise(resolve => {
		setTimeout(resolve, 20);
	});
}

test('everything is there after a restart', async t => {
	const path = await databaseFile(t);
	const content = new MemoryContentStore();
	const snapshotter = new MemorySnapshotter();
	{
		await using house = sqliteInMemory({path, content, snapshotter});
		const scope = house.scope({namespace: 'n'});
		await put(scope, 'text', {a: '1', 'containerd.io/gc.root': 'x'});
		await scope.snapshotter('memory').prepare('key', '', {labels: {'containerd.io/gc.root': 'x'}});
		await using writer = await scope.content.writer({ref: 'begun'});
		await writer.write(Buffer.from('half'));
	}
	await using house = sqliteInMemory({path, content, snapshotter});
	const scope = house.scope({namespace: 'n'});
	await house.collect();
	t.is((await scope.content.info(digestOf('text'))).labels['a'], '1');
	t.is((await scope.snapshotter('memory').stat('key')).kind, 'active');
	t.is((await scope.content.status('begun')).offset, 4);
});

test('what has no row after a restart is collected from the stores', async t => {
	const content = new MemoryContentStore();
	const snapshotter = new MemorySnapshotter();
	await using orphan = await content.writer({ref: 'n/1/orphan'});
	await orphan.write(Buffer.from('text'));
	await orphan.commit();
	{
		await using begun = await content.writer({ref: 'n/2/begun'});
		await begun.write(Buffer.from('half'));
	}
	await snapshotter.prepare('n/3/a', '');
	await snapshotter.commit('n/4/base', 'n/3/a');
	await snapshotter.prepare('n/5/child', 'n/4/base');

	await using house = sqliteInMemory({content, snapshotter});
	await house.collect();
	t.deepEqual(await Array.fromAsync(content.list()), []);
	t.deepEqual(await content.statuses(), []);
	t.deepEqual(await Array.fromAsync(snapshotter.list()), []);
});

for (const [halt, kind, name] of [['before commit', 'active', 'key'], ['after commit', 'committed', 'name']] as const) {
	test(`killed ${halt} of the snapshotter, a commit is ${kind === 'active' ? 'forgotten' : 'finished'} at the next start`, async t => {
		const path = await databaseFile(t);
		const snapshotter = new HaltingSnapshotter();
		const options = {path, snapshotter};
		const killed = sqliteInMemory(options);
		const before = killed.scope({namespace: 'n'});
		await before.leases.create({id: 'l', labels: {}});
		const snapshots = killed.scope({namespace: 'n', lease: 'l'}).snapshotter('memory');
		await snapshots.prepare('key', '', {labels: {old: 'x'}});
		snapshotter.halt = halt;
		void snapshots.commit('name', 'key', {labels: {new: 'y'}});
		await settle();
		killed.database[Symbol.dispose]();

		snapshotter.halt = 'nowhere';
		await using house = sqliteInMemory(options);
		await house.collect();
		const after = house.scope({namespace: 'n'}).snapshotter('memory');
		t.deepEqual(await Array.fromAsync(after.list(), info => [info.name, info.kind]), [[name, kind]]);
		t.deepEqual((await after.stat(name)).labels, kind === 'active' ? {old: 'x'} : {new: 'y'});
		t.is((await Array.fromAsync(snapshotter.list())).length, 1);
		if (kind === 'active') {
			await after.commit('name', 'key');
		}
		await after.prepare('child', 'name');
	});
}

test('killed after the snapshotter prepared, the key is free and what was made goes', async t => {
	const path = await databaseFile(t);
	const snapshotter = new HaltingSnapshotter();
	const killed = sqliteInMemory({path, snapshotter});
	snapshotter.halt = 'after prepare';
	void killed.scope({namespace: 'n'}).snapshotter('memory').prepare('key', '');
	await settle();
	killed.database[Symbol.dispose]();

	snapshotter.halt = 'nowhere';
	await using house = sqliteInMemory({path, snapshotter});
	await house.collect();
	t.deepEqual(await Array.fromAsync(snapshotter.list()), []);
	await house.scope({namespace: 'n'}).snapshotter('memory').prepare('key', '');
});

test('a snapshot that is being made is not collected', async t => {
	const snapshotter = new HaltingSnapshotter();
	await using house = sqliteInMemory({snapshotter});
	const snapshots = house.scope({namespace: 'n'}).snapshotter('memory');
	await snapshots.prepare('a', '');
	await snapshots.commit('base', 'a');
	snapshotter.halt = 'after prepare';
	void snapshots.prepare('key', 'base');
	await settle();
	await house.collect();
	t.is((await snapshots.stat('base')).kind, 'committed');
	t.is((await Array.fromAsync(snapshotter.list())).length, 2);
});

test('a store that fails to remove one thing keeps no other from going, and is asked again', async t => {
	const content = new MemoryContentStore();
	const errors: string[] = [];
	const refused = digestOf('a');
	let refusals = 1;
	const remove = content.delete.bind(content);
	content.delete = async digest => {
		if (digest === refused && refusals-- > 0) {
			throw new Error('no');
		}
		return remove(digest);
	};
	await using house = sqliteInMemory({content, log: {...strictLog, error: message => errors.push(message)}});
	const scope = house.scope({namespace: 'n'});
	await put(scope, 'a');
	await put(scope, 'b');
	await house.collect();
	t.is(errors.length, 1);
	t.deepEqual(await Array.fromAsync(content.list(), ({digest}) => digest), [refused]);
	await house.collect();
	t.deepEqual(await Array.fromAsync(content.list()), []);
	t.false(await hasContent(scope, refused));
});
