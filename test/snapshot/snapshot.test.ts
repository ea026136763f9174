import {chmod, chown, mkdir, mkdtemp, readdir, rm, stat} from 'node:fs/promises';
import {release, tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {snapshotSuite} from '../../contracts/snapshot/snapshot.suite.ts';
import {boot} from '../../kernel/boot.ts';
import {Config} from '../../kernel/config.ts';
import type {Logger} from '../../kernel/log.ts';
import {performMount, unmountAll} from '../../lib/sys/mount.ts';
import {mountsUnder} from '../../lib/sys/mount-table.ts';
import {SnapshotDirectories} from '../../plugins/snapshot-overlay/snapshot-directories.ts';
import {SnapshotRecords} from '../../plugins/snapshot-overlay/snapshot-records.ts';
import {OverlaySnapshotter, type OverlaySnapshotterOptions} from '../../plugins/snapshot-overlay/snapshotter.ts';
import {canMapOwners, neededMountOptions} from '../../plugins/snapshot-overlay/overlay-support.ts';
import {plugin} from '../../plugins/snapshot-overlay/plugin.ts';
import {MemorySnapshotter} from '../helpers/memory-snapshot.ts';
import {until} from '../helpers/until.ts';

snapshotSuite(test, {name: 'memory', supports: {mountable: false, rebase: true}, create: async () => new MemorySnapshotter()});
snapshotSuite(test, {name: 'overlay', supports: {mountable: true, rebase: true}, create: async () => createOverlay()});

test('overlay: the options of mounts are in containerd\'s order', async t => {
	await using snapshots = await createOverlay({mountOptions: ['volatile', 'index=off']});
	const at = (id: number, directory = 'fs'): string => path.join(snapshots.root, 'snapshots', String(id), directory);
	t.deepEqual(await snapshots.prepare('1', ''), [{type: 'bind', source: at(1), target: '', options: ['rw', 'rbind']}]);
	await snapshots.commit('one', '1');
	t.deepEqual(await snapshots.view('look', 'one'), [{type: 'bind', source: at(1), target: '', options: ['ro', 'rbind']}]);
	await snapshots.prepare('3', 'one');
	await snapshots.commit('two', '3');
	t.deepEqual(await snapshots.prepare('4', 'two'), [{type: 'overlay', source: 'overlay', target: '', options: [
		`workdir=${at(4, 'work')}`, `upperdir=${at(4)}`, `lowerdir=${at(3)}:${at(1)}`, 'volatile', 'index=off',
	]}]);
	t.deepEqual(await snapshots.view('look again', 'two'), [{type: 'overlay', source: 'overlay', target: '', options: [
		`lowerdir=${at(3)}:${at(1)}`, 'volatile', 'index=off',
	]}]);
});

test('overlay: a snapshot that gets its parent later has the mounts of an upper directory, and in the end the root of its parent', async t => {
	await using snapshots = await createOverlay({mountOptions: ['index=off']});
	const at = (id: number, directory = 'fs'): string => path.join(snapshots.root, 'snapshots', String(id), directory);
	await snapshots.prepare('1', '');
	await chmod(at(1), 0o1777);
	await chown(at(1), 7, 8);
	await snapshots.commit('one', '1');
	t.deepEqual(await snapshots.prepare('2', '', {isApart: true}), [{type: 'overlay', source: 'overlay', target: '', options: [`workdir=${at(2, 'work')}`, `upperdir=${at(2)}`, 'index=off']}]);
	await snapshots.commit('two', '2', {parent: 'one'});
	const {mode, uid, gid} = await stat(at(2));
	t.deepEqual({mode, uid, gid}, {mode: 0o41777, uid: 7, gid: 8});
	await t.throwsAsync(snapshots.prepare('3', 'one', {isApart: true}), {code: 'INVALID_ARGUMENT'});
});

test('overlay: mapping labels give the upper directory to the mapped root, and the mount the maps', async t => {
	await using snapshots = await createOverlay();
	const labels = {'containerd.io/snapshot/uidmapping': '5:9:1,0:100000:65536', 'containerd.io/snapshot/gidmapping': '0:200000:65536'};
	const [mount] = await snapshots.prepare('key', '', {labels});
	const {uid, gid} = await stat(mount?.source ?? '');
	t.deepEqual({uid, gid}, {uid: 100_000, gid: 200_000});
	t.deepEqual(mount?.options, ['uidmap=5:9:1,0:100000:65536', 'gidmap=0:200000:65536', 'rw', 'rbind']);
	for (const wrong of ['', '1:1:1', '0:4294967295:1', '0:-1:1', '0:1:1:1', 'x']) {
		await t.throwsAsync(snapshots.prepare('other', '', {labels: {...labels, 'containerd.io/snapshot/uidmapping': wrong}}), {code: 'INVALID_ARGUMENT'});
	}
});

test('overlay: where the kernel cannot map owners, mounts do not ask for it, and the upper directory has its owner all the same', async t => {
	await using snapshots = await createOverlay({mapsOwners: false});
	const labels = {'containerd.io/snapshot/uidmapping': '0:100000:65536', 'containerd.io/snapshot/gidmapping': '0:200000:65536'};
	const [mount] = await snapshots.prepare('key', '', {labels});
	const {uid, gid} = await stat(mount?.source ?? '');
	t.deepEqual({uid, gid}, {uid: 100_000, gid: 200_000});
	t.deepEqual(mount?.options, ['rw', 'rbind']);
});

test('overlay: whether owners can be mapped is asked of the kernel, and leaves nothing', async t => {
	const root = await mkdtemp(path.join(tmpdir(), 'keelson-map-'));
	// The kernel says it by its version too, of file systems that can; so do containerd's clients read it.
	const [major = 0, minor = 0] = release().split('.').map(Number);
	t.is(await canMapOwners(root), major > 5 || (major === 5 && minor >= 19));
	t.deepEqual(await readdir(root), []);
	// A file system whose owners cannot be mapped.
	await performMount({type: 'ramfs', source: 'none', options: []}, root);
	t.false(await canMapOwners(root));
	t.deepEqual(await readdir(root), []);
	await unmountAll(root);
	t.deepEqual(await mountsUnder(root), []);
	await rm(root, {recursive: true});
});

for (const [isSlow, expected] of [[false, ['only-remap-ids', 'rebase']], [true, ['rebase']]] as const) {
	test(`overlay: what it says that it can, with slow_chown ${isSlow ? 'on' : 'off'}`, async t => {
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-overlay-'));
		const config = await Config.of({
			root: path.join(directory, 'root'), state: path.join(directory, 'state'), plugins: {'io.containerd.snapshotter.v1.overlayfs': {slow_chown: isSlow}},
		});
		const running = await boot({loaded: {plugins: [plugin], failures: []}, config, log: silent});
		t.deepEqual(running.status.plugins()[0]?.capabilities, [...await canMapOwners(directory) ? ['remap-ids'] : [], ...expected]);
		await running[Symbol.asyncDispose]();
		await rm(directory, {recursive: true});
	});
}

test('overlay: the upper directory is shown as a label where it is asked for', async t => {
	await using snapshots = await createOverlay({hasUpperdirLabel: true});
	const [mount] = await snapshots.prepare('key', '');
	const label = {'containerd.io/snapshot/overlay.upperdir': mount?.source};
	t.deepEqual((await snapshots.stat('key')).labels, label);
	t.deepEqual((await Array.fromAsync(snapshots.list()))[0]?.labels, label);
	t.deepEqual((await snapshots.update('key', {a: 'b'}, [])).labels, {a: 'b', ...label});
});

test('overlay: a synchronous remove has removed the bytes', async t => {
	await using snapshots = await createOverlay({isRemoveSynchronous: true});
	await snapshots.prepare('key', '');
	await snapshots.remove('key');
	t.deepEqual(await readdir(path.join(snapshots.root, 'snapshots')), []);
});

test('overlay: the bytes of a removed snapshot go in the background', async t => {
	await using snapshots = await createOverlay();
	await snapshots.prepare('key', '');
	await snapshots.remove('key');
	await until('the directory to go', async () => (await readdir(path.join(snapshots.root, 'snapshots'))).length === 0);
	t.pass();
});

test('overlay: cleanup takes away what crashed daemons left, and nothing else', async t => {
	await using snapshots = await createOverlay();
	await snapshots.prepare('key', '');
	await mkdir(path.join(snapshots.root, 'snapshots/77/fs/a/b'), {recursive: true});
	await mkdir(path.join(snapshots.root, 'snapshots/rm-78/fs'), {recursive: true});
	await snapshots.cleanup();
	t.deepEqual(await readdir(path.join(snapshots.root, 'snapshots')), ['1']);
});

test('overlay: a mount that was left in a removed snapshot is detached', async t => {
	await using snapshots = await createOverlay({isRemoveSynchronous: true});
	const [mount] = await snapshots.prepare('key', '');
	const inner = path.join(mount?.source ?? '', 'inner');
	await mkdir(inner);
	await performMount({type: 'tmpfs', source: 'tmpfs', options: []}, inner);
	await snapshots.remove('key');
	t.deepEqual(await mountsUnder(snapshots.root), []);
	t.deepEqual(await readdir(path.join(snapshots.root, 'snapshots')), []);
});

test('overlay: snapshots are there again when the store is opened anew, and numbers do not come again', async t => {
	const root = await mkdtemp(path.join(tmpdir(), 'keelson-overlay-'));
	t.teardown(() => rm(root, {recursive: true, force: true}));
	await using stack = new AsyncDisposableStack();
	const first = await openOverlay(root);
	await first.prepare('key', '', {labels: {a: 'b'}});
	await first.commit('name', 'key', {labels: {c: 'd'}});
	await first.prepare('last', 'name');
	await first.remove('last');
	const before = await first.stat('name');
	await first[Symbol.asyncDispose]();
	const second = stack.use(await openOverlay(root));
	t.deepEqual(await second.stat('name'), before);
	await second.prepare('key', 'name');
	t.regex((await second.mounts('key'))[0]?.options.join(',') ?? '', /upperdir=[^,]*\/3\/fs/);
});

test('overlay: directories above snapshots are root\'s alone', async t => {
	await using snapshots = await createOverlay();
	t.is((await stat(snapshots.root)).mode & 0o777, 0o700);
	t.is((await stat(path.join(snapshots.root, 'snapshots'))).mode & 0o777, 0o700);
});

const silent: Logger = {trace: () => undefined, debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, with: () => silent};

type Opened = OverlaySnapshotter & AsyncDisposable & {readonly root: string};

async function createOverlay(options: Partial<OverlaySnapshotterOptions> = {}): Promise<Opened> {
	const root = await mkdtemp(path.join(tmpdir(), 'keelson-overlay-'));
	const opened = await openOverlay(root, options);
	const close = opened[Symbol.asyncDispose].bind(opened);
	return Object.assign(opened, {
		async [Symbol.asyncDispose]() {
			await close();
			await rm(root, {recursive: true, force: true});
		},
	});
}

async function openOverlay(root: string, options: Partial<OverlaySnapshotterOptions> = {}): Promise<Opened> {
	const lifetime = new AsyncDisposableStack();
	const directories = lifetime.use(await SnapshotDirectories.open(root, silent));
	const records = lifetime.use(new SnapshotRecords(path.join(root, 'snapshots.db')));
	const snapshotter = new OverlaySnapshotter({
		records, directories,
		lastId: Math.max(records.highestId(), await directories.highestId()),
		mapsOwners: options.mapsOwners ?? true,
		mountOptions: options.mountOptions ?? await neededMountOptions([]),
		hasUpperdirLabel: options.hasUpperdirLabel ?? false,
		isRemoveSynchronous: options.isRemoveSynchronous ?? false,
	});
	return Object.assign(snapshotter, {root, [Symbol.asyncDispose]: () => lifetime.disposeAsync()});
}
