import type {TestFn} from 'ava';
import type {SnapshotterSubject} from './snapshot.suite.ts';
import type {Snapshotter} from './snapshot.ts';

/** The part of the suite for list and cleanup. */
export function snapshotListSuite(test: TestFn, {name, create}: Pick<SnapshotterSubject, 'name' | 'create'>): void {
	const listed = async (snapshots: Snapshotter, filters?: readonly string[]): Promise<string[]> =>
		(await Array.fromAsync(snapshots.list(filters))).map(info => info.name);

	test(`${name}: a list says what stat says`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'base', '');
		await snapshots.prepare('key', 'base', {labels: {a: 'b'}});
		const infos = await Array.fromAsync(snapshots.list());
		t.deepEqual(infos, await Promise.all(infos.map(info => snapshots.stat(info.name))));
		t.is(infos.length, 2);
	});

	test(`${name}: a list is by name`, async t => {
		await using snapshots = await create();
		for (const branch of ['z', 'a', 'm']) {
			let parent = '';
			for (let depth = 0; depth < 5; depth++) {
				const child = `${branch}${9 - depth}`;
				await commitEmpty(snapshots, child, parent);
				parent = child;
			}
		}
		const names = await listed(snapshots);
		t.is(names.length, 15);
		t.deepEqual(names, names.toSorted());
	});

	test(`${name}: filters are OR-ed and know kind, name, parent and labels`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'base', '');
		await snapshots.prepare('key', 'base', {labels: {'a.b/c': 'yes'}});
		await snapshots.view('look', 'base');
		t.deepEqual(await listed(snapshots, ['kind==committed']), ['base']);
		t.deepEqual((await listed(snapshots, ['kind==active', 'kind==view'])).toSorted(), ['key', 'look']);
		t.deepEqual(await listed(snapshots, ['name==look']), ['look']);
		t.deepEqual((await listed(snapshots, ['parent==base'])).toSorted(), ['key', 'look']);
		t.deepEqual(await listed(snapshots, ['labels."a.b/c"==yes']), ['key']);
		t.deepEqual(await listed(snapshots, ['parent==base,kind==view']), ['look']);
		t.deepEqual(await listed(snapshots, ['name~=^(key|look)$,labels."a.b/c"']), ['key']);
		t.deepEqual(await listed(snapshots, ['name==nobody']), []);
	});

	test(`${name}: a filter that is none is refused`, async t => {
		await using snapshots = await create();
		await t.throwsAsync(listed(snapshots, ['name=']), {code: 'INVALID_ARGUMENT'});
	});

	test(`${name}: a list may be left early, and changed while it is read`, async t => {
		await using snapshots = await create();
		for (let at = 0; at < 5; at++) {
			await snapshots.prepare(`key-${at}`, '');
		}
		for await (const info of snapshots.list()) {
			await snapshots.remove(info.name);
			break;
		}
		t.is((await listed(snapshots)).length, 4);
	});

	test(`${name}: cleanup leaves what is owned`, async t => {
		await using snapshots = await create();
		await commitEmpty(snapshots, 'base', '');
		await snapshots.prepare('key', 'base');
		await snapshots.prepare('gone', 'base');
		await snapshots.remove('gone');
		await snapshots.cleanup();
		t.deepEqual((await listed(snapshots)).toSorted(), ['base', 'key']);
	});
}

/** Prepares and commits a snapshot in which nothing changes. */
export async function commitEmpty(snapshots: Snapshotter, name: string, parent: string): Promise<void> {
	await snapshots.prepare(`${name}, being prepared`, parent);
	await snapshots.commit(name, `${name}, being prepared`);
}
