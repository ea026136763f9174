import {chmod, chown, link, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {TestFn} from 'ava';
import {performMounts, UMOUNT, unmountAll} from '../../lib/sys/mount.ts';
import type {Mount} from '../oci/mount.ts';
import type {SnapshotterSubject} from './snapshot.suite.ts';
import type {Snapshotter} from './snapshot.ts';

/** The part of the suite for snapshotters whose mounts can be performed: what is in the trees. */
export function snapshotTreesSuite(test: TestFn, {name, create}: Pick<SnapshotterSubject, 'name' | 'create'>): void {
	test(`${name}: files go from layer to layer, changed and deleted on the way`, async t => {
		await using snapshots = await create();
		await commitWith(snapshots, 'one', '', async root => {
			await writeFile(path.join(root, 'kept'), 'kept\n');
			await writeFile(path.join(root, 'changed'), 'first\n', {mode: 0o4755});
			await writeFile(path.join(root, 'deleted'), '');
			await mkdir(path.join(root, 'a/b/c'), {recursive: true});
		});
		await commitWith(snapshots, 'two', 'one', async root => {
			await writeFile(path.join(root, 'changed'), 'second\n');
			await rm(path.join(root, 'deleted'));
			await rm(path.join(root, 'a/b'), {recursive: true});
			await symlink('kept', path.join(root, 'link'));
		});
		await commitWith(snapshots, 'three', 'two', async root => {
			await writeFile(path.join(root, 'deleted'), 'back\n');
		});
		await look(snapshots, 'two', async root => {
			t.deepEqual((await readdir(root)).toSorted(), ['a', 'changed', 'kept', 'link']);
			t.is(await readFile(path.join(root, 'changed'), 'utf8'), 'second\n');
			t.deepEqual(await readdir(path.join(root, 'a')), []);
			t.is(await readFile(path.join(root, 'link'), 'utf8'), 'kept\n');
		});
		await look(snapshots, 'three', async root => t.is(await readFile(path.join(root, 'deleted'), 'utf8'), 'back\n'));
		await look(snapshots, 'one', async root => t.is(await readFile(path.join(root, 'changed'), 'utf8'), 'first\n'));
	});

	test(`${name}: a directory that is made anew shows nothing of the one below`, async t => {
		await using snapshots = await create();
		await commitWith(snapshots, 'one', '', async root => {
			await mkdir(path.join(root, 'd/sub'), {recursive: true});
			await writeFile(path.join(root, 'd/old'), '');
		});
		await commitWith(snapshots, 'two', 'one', async root => {
			await rm(path.join(root, 'd'), {recursive: true});
			await mkdir(path.join(root, 'd'));
			await writeFile(path.join(root, 'd/new'), '');
		});
		await look(snapshots, 'two', async root => t.deepEqual(await readdir(path.join(root, 'd')), ['new']));
		await commitWith(snapshots, 'three', 'two', async root => writeFile(path.join(root, 'd/newest'), ''));
		await look(snapshots, 'three', async root => t.deepEqual((await readdir(path.join(root, 'd'))).toSorted(), ['new', 'newest']));
	});

	test(`${name}: a file is renamed in each of three layers`, async t => {
		await using snapshots = await create();
		await commitWith(snapshots, 'one', '', async root => {
			await mkdir(path.join(root, 'd'));
			await writeFile(path.join(root, 'd/first'), 'travels\n');
		});
		await commitWith(snapshots, 'two', 'one', async root => rename(path.join(root, 'd/first'), path.join(root, 'second')));
		await commitWith(snapshots, 'three', 'two', async root => rename(path.join(root, 'second'), path.join(root, 'd/third')));
		await look(snapshots, 'three', async root => {
			t.deepEqual(await readdir(root), ['d']);
			t.deepEqual(await readdir(path.join(root, 'd')), ['third']);
			t.is(await readFile(path.join(root, 'd/third'), 'utf8'), 'travels\n');
		});
	});

	test(`${name}: owner and mode of files and of the root are kept from layer to layer`, async t => {
		await using snapshots = await create();
		await commitWith(snapshots, 'one', '', async root => {
			await writeFile(path.join(root, 'file'), '');
			await chown(path.join(root, 'file'), 1, 2);
			await chown(root, 3, 4);
			await chmod(root, 0o2750);
		});
		await commitWith(snapshots, 'two', 'one', async root => {
			const {uid, gid, mode} = await stat(root);
			t.deepEqual({uid, gid, mode: mode & 0o7777}, {uid: 3, gid: 4, mode: 0o2750});
			await chown(path.join(root, 'file'), 5, 6);
		});
		await look(snapshots, 'two', async root => {
			const {uid, gid} = await lstat(path.join(root, 'file'));
			t.deepEqual({uid, gid}, {uid: 5, gid: 6});
			t.is((await stat(root)).mode & 0o7777, 0o2750);
		});
	});

	test(`${name}: the root of a first snapshot is root's, 0755`, async t => {
		await using snapshots = await create();
		await mounted(await snapshots.prepare('key', ''), async root => {
			const {uid, gid, mode} = await stat(root);
			t.deepEqual({uid, gid, mode: mode & 0o7777}, {uid: 0, gid: 0, mode: 0o755});
		});
	});

	test(`${name}: a view cannot be written, however many parents it has`, async t => {
		await using snapshots = await create();
		await commitWith(snapshots, 'one', '', async root => writeFile(path.join(root, 'file'), ''));
		await commitWith(snapshots, 'two', 'one', () => undefined);
		for (const parent of ['', 'one', 'two']) {
			await mounted(await snapshots.view(`look at ${parent}`, parent), async root => {
				await t.throwsAsync(writeFile(path.join(root, 'new'), ''), {code: 'EROFS'});
				t.deepEqual(await readdir(root), parent === '' ? [] : ['file']);
			});
		}
	});

	test(`${name}: what is written after mounts are made anew is still there`, async t => {
		await using snapshots = await create();
		await mounted(await snapshots.prepare('key', ''), async root => writeFile(path.join(root, 'file'), 'x'));
		await mounted(await snapshots.mounts('key'), async root => t.deepEqual(await readdir(root), ['file']));
	});

	test(`${name}: siblings do not see each other`, async t => {
		await using snapshots = await create();
		await commitWith(snapshots, 'base', '', () => undefined);
		await mounted(await snapshots.prepare('left', 'base'), async root => writeFile(path.join(root, 'left'), ''));
		await mounted(await snapshots.prepare('right', 'base'), async root => t.deepEqual(await readdir(root), []));
	});

	test(`${name}: usage is of the snapshot alone, with hard links once, and stays after commit`, async t => {
		await using snapshots = await create();
		const empty = await commitWith(snapshots, 'one', '', async root => writeFile(path.join(root, 'big'), Buffer.alloc(1_000_000, 1)));
		t.true(empty.size >= 1_000_000 && empty.size < 1_200_000);
		t.is(empty.inodes, 2);
		const {size, inodes} = await commitWith(snapshots, 'two', 'one', async root => {
			await writeFile(path.join(root, 'small'), Buffer.alloc(10_000, 1));
			await link(path.join(root, 'small'), path.join(root, 'again'));
		});
		t.true(size >= 10_000 && size < 100_000);
		t.is(inodes, 2);
		await snapshots.view('look', 'two');
		t.deepEqual(await snapshots.usage('look'), {size: 0, inodes: 0});
	});

	test(`${name}: a chain of 60 layers mounts`, async t => {
		await using snapshots = await create();
		for (let at = 0; at < 60; at++) {
			await commitWith(snapshots, `layer-${at}`, at === 0 ? '' : `layer-${at - 1}`, async root => writeFile(path.join(root, `file-${at}`), ''));
		}
		await look(snapshots, 'layer-59', async root => t.is((await readdir(root)).length, 60));
	});
}

/** Prepares, and commits what `change` makes of the mounted tree. Resolves with the usage, which commit does not change. */
async function commitWith(snapshots: Snapshotter, name: string, parent: string, change: (root: string) => unknown): Promise<{readonly size: number; readonly inodes: number}> {
	const key = `${name}, being prepared`;
	await mounted(await snapshots.prepare(key, parent), change);
	const before = await snapshots.usage(key);
	await snapshots.commit(name, key);
	const after = await snapshots.usage(name);
	if (before.size !== after.size || before.inodes !== after.inodes) {
		throw new Error(`usage of ${name} was ${JSON.stringify(before)} before its commit and ${JSON.stringify(after)} after`);
	}
	return after;
}

async function look(snapshots: Snapshotter, name: string, see: (root: string) => unknown): Promise<void> {
	const key = `a look at ${name}`;
	await mounted(await snapshots.view(key, name), see);
	await snapshots.remove(key);
}

async function mounted(mounts: readonly Mount[], work: (root: string) => unknown): Promise<void> {
	const root = await mkdtemp(path.join(tmpdir(), 'keelson-snapshot-suite-'));
	try {
		await performMounts(mounts, root);
		try {
			await work(root);
		} finally {
			await unmountAll(root, UMOUNT.DETACH);
		}
	} finally {
		await rm(root, {recursive: true, force: true});
	}
}
