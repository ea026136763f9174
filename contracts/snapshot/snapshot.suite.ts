import type {TestFn} from 'ava';
import {commitEmpty, snapshotListSuite} from './snapshot-list.suite.ts';
import {snapshotTreesSuite} from './snapshot-trees.suite.ts';
import type {Snapshotter} from './snapshot.ts';

/** What an implementation does not promise, said in public; all else is tested. */
export interface SnapshotterSupports {
	/** Its mounts can be performed on this machine, by root. */
	readonly mountable: boolean;
	/** commit with another parent. */
	readonly rebase: boolean;
}

export interface SnapshotterSubject {
	readonly name: string;
	readonly supports: SnapshotterSupports;
	/** A fresh, empty snapshotter, disposed when the test ends. */
	readonly create: () => Promise<Snapshotter & AsyncDisposable>;
}

/** Every snapshotter passes this, in this process or behind a socket. */
export function snapshotSuite(test: TestFn, subject: SnapshotterSubject): void {
	names(test, subject);
	snapshotListSuite(test, subject);
	if (subject.supports.rebase) {
		rebases(test, subject);
	}
	if (subject.supports.mountable) {
		snapshotTreesSuite(test, subject);
	}
}

function names(test: TestFn, {name, create}: SnapshotterSubject): void {
	test(`${name}: a prepared snapshot is active, on its parent, with its labels`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'base', '');
		const before = Date.now();
		await snapshots.prepare('key', 'base', {labels: {colour: 'red'}});
		const {createdAt, updatedAt, ...info} = await snapshots.stat('key');
		t.deepEqual(info, {name: 'key', parent: 'base', kind: 'active', labels: {colour: 'red'}});
		t.deepEqual(createdAt, updatedAt);
		t.true(createdAt.getTime() >= before - 1 && createdAt.getTime() <= Date.now());
	});

	test(`${name}: a view is a view, and cannot be committed`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'base', '');
		await snapshots.view('look', 'base');
		t.is((await snapshots.stat('look')).kind, 'view');
		await t.throwsAsync(snapshots.commit('name', 'look'), {code: 'FAILED_PRECONDITION'});
	});

	test(`${name}: commit gives a name, takes the key away, and replaces the labels`, async t => {
		await using snapshots = await create();
		await snapshots.prepare('key', '', {labels: {old: 'label'}});
		await snapshots.commit('name', 'key', {labels: {new: 'label'}});
		const {kind, parent, labels} = await snapshots.stat('name');
		t.deepEqual({kind, parent, labels}, {kind: 'committed', parent: '', labels: {new: 'label'}});
		await t.throwsAsync(snapshots.stat('key'), {code: 'NOT_FOUND'});
		await snapshots.prepare('key', 'name');
		t.is((await snapshots.stat('key')).parent, 'name');
	});

	test(`${name}: keys and names share one space`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'taken', '');
		await t.throwsAsync(snapshots.prepare('taken', ''), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(snapshots.view('taken', 'taken'), {code: 'ALREADY_EXISTS'});
		await snapshots.prepare('key', '');
		await t.throwsAsync(snapshots.prepare('key', 'taken'), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(snapshots.commit('taken', 'key'), {code: 'ALREADY_EXISTS'});
		await t.throwsAsync(snapshots.commit('key', 'key'), {code: 'ALREADY_EXISTS'});
		t.is((await snapshots.stat('key')).kind, 'active');
	});

	test(`${name}: of many prepares with one key one succeeds`, async t => {
		await using snapshots = await create();
		const attempts = await Promise.allSettled(Array.from({length: 8}, () => snapshots.prepare('key', '')));
		t.is(attempts.filter(({status}) => status === 'fulfilled').length, 1);
		for (const attempt of attempts) {
			t.true(attempt.status === 'fulfilled' || (attempt.reason as {code?: unknown}).code === 'ALREADY_EXISTS');
		}
		await snapshots.cleanup();
		t.true((await snapshots.mounts('key')).length > 0);
	});

	test(`${name}: of many commits of one key one succeeds`, async t => {
		await using snapshots = await create();
		await snapshots.prepare('key', '');
		const attempts = await Promise.allSettled(Array.from({length: 8}, (_, at) => snapshots.commit(`name-${at}`, 'key')));
		t.is(attempts.filter(({status}) => status === 'fulfilled').length, 1);
		t.is((await Array.fromAsync(snapshots.list())).length, 1);
	});

	test(`${name}: what is not there is not found, wherever it is named`, async t => {
		await using snapshots = await create();
		const notFound = {code: 'NOT_FOUND'};
		await t.throwsAsync(snapshots.stat('nobody'), notFound);
		await t.throwsAsync(snapshots.mounts('nobody'), notFound);
		await t.throwsAsync(snapshots.usage('nobody'), notFound);
		await t.throwsAsync(snapshots.remove('nobody'), notFound);
		await t.throwsAsync(snapshots.commit('name', 'nobody'), notFound);
		await t.throwsAsync(snapshots.update('nobody', {}, []), notFound);
		await t.throwsAsync(snapshots.prepare('key', 'nobody'), notFound);
		await t.throwsAsync(snapshots.view('key', 'nobody'), notFound);
		await t.throwsAsync(snapshots.stat('key'), notFound);
	});

	test(`${name}: only a committed snapshot can be a parent`, async t => {
		await using snapshots = await create();
		await snapshots.prepare('active', '');
		await t.throwsAsync(snapshots.prepare('key', 'active'), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(snapshots.view('key', 'active'), {code: 'INVALID_ARGUMENT'});
	});

	test(`${name}: an empty key is refused`, async t => {
		await using snapshots = await create();
		await t.throwsAsync(snapshots.prepare('', ''), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(snapshots.view('', ''), {code: 'INVALID_ARGUMENT'});
	});

	test(`${name}: a committed snapshot has no mounts`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'name', '');
		await t.throwsAsync(snapshots.mounts('name'), {code: 'FAILED_PRECONDITION'});
	});

	test(`${name}: mounts answers what prepare and view answered`, async t => {
		await using snapshots = await create();
		t.deepEqual(await snapshots.mounts('key').catch(() => undefined), undefined);
		const prepared = await snapshots.prepare('key', '');
		t.deepEqual(await snapshots.mounts('key'), prepared);
		await snapshots.commit('one', 'key');
		const viewed = await snapshots.view('look', 'one');
		t.deepEqual(await snapshots.mounts('look'), viewed);
		await commitEmpty(snapshots, 'two', 'one');
		t.deepEqual(await snapshots.view('look again', 'two'), await snapshots.mounts('look again'));
		t.deepEqual(await snapshots.prepare('next', 'two'), await snapshots.mounts('next'));
	});

	test(`${name}: a parent cannot be removed while a child stands`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'parent', '');
		await commitEmpty(snapshots, 'child', 'parent');
		await snapshots.view('grandchild', 'child');
		await t.throwsAsync(snapshots.remove('parent'), {code: 'FAILED_PRECONDITION', message: /remove/});
		await t.throwsAsync(snapshots.remove('child'), {code: 'FAILED_PRECONDITION'});
		await snapshots.remove('grandchild');
		await snapshots.remove('child');
		await snapshots.remove('parent');
		t.deepEqual(await Array.fromAsync(snapshots.list()), []);
	});

	test(`${name}: a removed name is free at once`, async t => {
		await using snapshots = await create();
		await snapshots.prepare('key', '', {labels: {first: 'one'}});
		await snapshots.remove('key');
		await t.throwsAsync(snapshots.stat('key'), {code: 'NOT_FOUND'});
		await snapshots.prepare('key', '');
		t.deepEqual((await snapshots.stat('key')).labels, {});
	});

	test(`${name}: an update replaces all labels, or those that its mask names`, async t => {
		await using snapshots = await create();
		await snapshots.prepare('key', '', {labels: {a: '1', b: '2', 'c.d/e': '3'}});
		t.deepEqual((await snapshots.update('key', {a: 'x', b: 'ignored'}, ['labels.a'])).labels, {a: 'x', b: '2', 'c.d/e': '3'});
		t.deepEqual((await snapshots.update('key', {a: ''}, ['labels.a', 'labels.c.d/e'])).labels, {b: '2'});
		t.deepEqual((await snapshots.update('key', {new: 'one'}, ['labels'])).labels, {new: 'one'});
		const updated = await snapshots.update('key', {other: 'one'}, []);
		t.deepEqual(updated.labels, {other: 'one'});
		t.deepEqual(await snapshots.stat('key'), updated);
		t.true(updated.updatedAt.getTime() >= updated.createdAt.getTime());
		await t.throwsAsync(snapshots.update('key', {}, ['parent']), {code: 'INVALID_ARGUMENT'});
		t.deepEqual(await snapshots.stat('key'), updated);
	});

	test(`${name}: labels of a committed snapshot can change, and nothing else of it`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'base', '');
		const before = await snapshots.stat('base');
		const after = await snapshots.update('base', {seen: 'yes'}, ['labels.seen']);
		t.deepEqual({...after, labels: {}, updatedAt: before.updatedAt}, before);
	});

	test(`${name}: labels with names of Object's own are labels like others`, async t => {
		await using snapshots = await create();
		const labels = JSON.parse('{"__proto__": "a", "constructor": "b"}') as Record<string, string>;
		await snapshots.prepare('key', '', {labels});
		t.deepEqual(new Map(Object.entries((await snapshots.stat('key')).labels)), new Map([['__proto__', 'a'], ['constructor', 'b']]));
	});

	test(`${name}: an aborted request does nothing`, async t => {
		await using snapshots = await create();
		const signal = AbortSignal.abort();
		await snapshots.prepare('key', '');
		await t.throwsAsync(snapshots.prepare('other', '', {signal}));
		await t.throwsAsync(snapshots.commit('name', 'key', {signal}));
		t.deepEqual((await Array.fromAsync(snapshots.list())).map(info => info.name), ['key']);
	});
}

function rebases(test: TestFn, {name, create}: SnapshotterSubject): void {
	test(`${name}: a snapshot without parent can be committed on one`, async t => {
		await using snapshots = await create();
		await snapshots.prepare('key', '');
		await commitEmpty(snapshots, 'base', '');
		await commitEmpty(snapshots, 'middle', 'base');
		await snapshots.commit('top', 'key', {parent: 'middle'});
		t.is((await snapshots.stat('top')).parent, 'middle');
		await t.throwsAsync(snapshots.remove('middle'), {code: 'FAILED_PRECONDITION'});
		await commitEmpty(snapshots, 'above', 'top');
		t.is((await snapshots.stat('above')).parent, 'top');
	});

	test(`${name}: a snapshot with a parent keeps it`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'base', '');
		await commitEmpty(snapshots, 'other', '');
		await snapshots.prepare('key', 'base');
		await t.throwsAsync(snapshots.commit('top', 'key', {parent: 'other'}), {code: 'INVALID_ARGUMENT'});
		await snapshots.commit('top', 'key', {parent: 'base'});
		t.is((await snapshots.stat('top')).parent, 'base');
	});

	test(`${name}: the parent of a rebase must be there and committed`, async t => {
		await using snapshots = await create();
		await snapshots.prepare('active', '');
		await snapshots.prepare('key', '');
		await t.throwsAsync(snapshots.commit('top', 'key', {parent: 'nobody'}), {code: 'NOT_FOUND'});
		await t.throwsAsync(snapshots.commit('top', 'key', {parent: 'active'}), {code: 'INVALID_ARGUMENT'});
		t.is((await snapshots.stat('key')).kind, 'active');
	});
}
