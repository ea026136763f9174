import {chmod, mkdir, readdir, readFile, stat, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import type {Mount} from '../../contracts/oci/mount.ts';
import {performMounts, unmountAll} from '../../lib/sys/mount.ts';
import {until} from '../helpers/until.ts';
import {LocalMountStage} from './mount-stage.ts';

const mkdirOptions = (...words: readonly string[]): readonly string[] => words.map(word => `X-containerd.mkdir.path=${word}`);

test('a file becomes a file system, a device, a mount, and holds the upper directory of an overlay', async t => {
	await using stage = await LocalMountStage.open();
	const activations = stage.manager.activations({namespace: 'n'});
	const lower = await stage.mount();
	await writeFile(path.join(lower.source, 'below'), 'below');
	const file = path.join(stage.root, 'disk.img');
	const uuid = '550e8400-e29b-41d4-a716-446655440000';
	const mounts: readonly Mount[] = [
		{type: 'mkfs/loop', source: file, target: '', options: ['X-containerd.mkfs.size=8MiB', 'X-containerd.mkfs.fs=ext4', `X-containerd.mkfs.uuid=${uuid}`]},
		{type: 'format/ext4', source: '{{ mount 0 }}', target: '', options: ['nosuid']},
		lower,
		{
			type: 'format/mkdir/overlay', source: 'overlay', target: '', options: [
				...mkdirOptions('{{ mount 1 }}/upper:0755:1000:1001', '{{ mount 1 }}/work'), 'lowerdir={{ mount 2 }}', 'upperdir={{ mount 1 }}/upper', 'workdir={{ mount 1 }}/work',
			],
		},
	];
	const {active, system} = await activations.activate({name: 'a', mounts});
	const [disk = '', ext4 = '', bind = ''] = active.map(({mountPoint}) => mountPoint);
	t.deepEqual(active.map(({mount}) => mount), [
		{type: 'loop', source: file, target: '', options: []}, {type: 'ext4', source: disk, target: '', options: ['nosuid']}, lower,
	]);
	t.deepEqual(system, [{type: 'overlay', source: 'overlay', target: '', options: [`lowerdir=${bind}`, `upperdir=${ext4}/upper`, `workdir=${ext4}/work`]}]);
	t.like(await stat(`${ext4}/upper`), {uid: 1000, gid: 1001, mode: 0o40755});
	t.like(await stat(`${ext4}/work`), {uid: 0, gid: 0, mode: 0o40700});
	const {size, blocks, mode} = await stat(file);
	t.is(size, 8 << 20);
	t.true(blocks * 512 < 4 << 20, 'it is sparse');
	t.is(mode, 0o100600);
	t.deepEqual(await readdir(stage.root), ['disk.img']);

	const merged = path.join(stage.directory, 'merged');
	await mkdir(merged);
	await performMounts(system, merged);
	t.is(await readFile(`${merged}/below`, 'utf8'), 'below');
	await writeFile(`${merged}/above`, 'above');
	// An overlay has clones of the mounts that it stands on: it keeps the file system, and that the device.
	await activations.deactivate('a');
	t.deepEqual((await stage.leftovers()).map(line => line.split(' ')[0]), ['device']);
	t.is(await readFile(`${merged}/above`, 'utf8'), 'above');
	await unmountAll(merged);
	await until('the device to go', async () => (await stage.devices()).length === 0);
	t.deepEqual(await stage.leftovers(), []);

	const again = await activations.activate({name: 'a', mounts});
	t.is(await readFile(`${again.active[1]?.mountPoint}/upper/above`, 'utf8'), 'above', 'what is there is not made anew');
	await activations.deactivate('a');
});

test('mkfs leaves nothing unfinished, and takes only files below its roots', async t => {
	await using stage = await LocalMountStage.open();
	const activations = stage.manager.activations({namespace: 'n'});
	const make = async (source: string, ...options: readonly string[]): Promise<unknown> =>
		activations.activate({name: 'a', mounts: [{type: 'mkfs/loop', source, target: '', options: options.map(option => `X-containerd.mkfs.${option}`)}]});
	const file = path.join(stage.root, 'disk.img');
	await t.throwsAsync(make(file, 'size=1k'), {code: 'INVALID_ARGUMENT', message: /mkfs\.ext4 failed/});
	await t.throwsAsync(make(file, 'size=2GiB'), {code: 'RESOURCE_EXHAUSTED'});
	await t.throwsAsync(make(path.join(stage.directory, 'disk.img'), 'size=8m'), {code: 'INVALID_ARGUMENT', message: /lies neither in an active mount/});
	await t.throwsAsync(make(path.join(stage.root, 'none/disk.img'), 'size=8m'), {code: 'NOT_FOUND'});
	await mkdir(path.join(stage.root, 'directory'));
	await symlink(stage.directory, path.join(stage.root, 'out'));
	await symlink(path.join(stage.directory, 'elsewhere'), path.join(stage.root, 'link'));
	await t.throwsAsync(make(path.join(stage.root, 'directory'), 'size=8m'), {code: 'FAILED_PRECONDITION', message: /is no file/});
	await t.throwsAsync(make(path.join(stage.root, 'link'), 'size=8m'), {code: 'FAILED_PRECONDITION'});
	await t.throwsAsync(make(path.join(stage.root, 'out/disk.img'), 'size=8m'), {code: 'FAILED_PRECONDITION', message: /symbolic link/});
	t.deepEqual((await readdir(stage.root)).toSorted(), ['directory', 'link', 'out']);
	// A daemon that was killed at it.
	await writeFile(path.join(stage.root, '.disk.img.mkfs'), 'half');
	await make(file, 'size=8m');
	t.deepEqual((await readdir(stage.root)).toSorted(), ['directory', 'disk.img', 'link', 'out']);
	await activations.deactivate('a');
	t.deepEqual(await stage.leftovers(), []);
});

test('nothing that a hostile tree holds leads mkdir or a template out of it', async t => {
	await using stage = await LocalMountStage.open();
	const activations = stage.manager.activations({namespace: 'n'});
	const tree = await stage.mount();
	const outside = path.join(stage.directory, 'outside');
	await mkdir(outside);
	await symlink(outside, path.join(tree.source, 'absolute'));
	await symlink('../../../outside', path.join(tree.source, 'relative'));
	await symlink('u', path.join(tree.source, 'harmless'));
	await symlink(path.join(outside, 'made'), path.join(tree.source, 'dangling'));
	await writeFile(path.join(tree.source, 'file'), '');
	const attempt = async (options: readonly string[], code: string): Promise<void> => {
		await t.throwsAsync(activations.activate({name: 'a', mounts: [tree, {type: 'format/mkdir/overlay', source: 'overlay', target: '', options}]}), {code}, options.join());
	};
	for (const name of ['absolute/x', 'relative/x', 'harmless/x', 'absolute', 'dangling']) {
		await attempt(mkdirOptions(`{{ mount 0 }}/${name}:0777`), 'FAILED_PRECONDITION');
	}
	await attempt(mkdirOptions('{{ mount 0 }}/../x'), 'INVALID_ARGUMENT');
	await attempt(mkdirOptions('{{ mount 0 }}/u/../../x'), 'INVALID_ARGUMENT');
	await attempt(mkdirOptions(`${stage.directory}/x`), 'INVALID_ARGUMENT');
	await attempt(mkdirOptions('{{ mount 0 }}/file'), 'FAILED_PRECONDITION');
	await attempt(mkdirOptions('{{ mount 0 }}/no/parent'), 'NOT_FOUND');
	await attempt(['upperdir={{ mount 0 }}/absolute'], 'FAILED_PRECONDITION');
	await attempt(['lowerdir=/usr:{{ mount 0 }}/relative'], 'FAILED_PRECONDITION');
	await attempt(['upperdir={{ mount 0 }}/../../x'], 'INVALID_ARGUMENT');
	t.deepEqual(await readdir(outside), []);
	t.deepEqual((await readdir(tree.source)).toSorted(), ['absolute', 'dangling', 'file', 'harmless', 'relative', 'u']);
	// What is there stays as it is.
	await chmod(path.join(tree.source, 'u'), 0o710);
	const {active} = await activations.activate({name: 'a', mounts: [tree, {type: 'format/mkdir/overlay', source: 'overlay', target: '', options: mkdirOptions('{{ mount 0 }}/u:0777', '{{ mount 0 }}/u/v:0750')}]});
	t.is((await stat(`${active[0]?.mountPoint}/u`)).mode, 0o40710);
	t.is((await stat(`${active[0]?.mountPoint}/u/v`)).mode, 0o40750);
	await activations.deactivate('a');
	t.deepEqual(await stage.leftovers(), []);
});

test('one file is made once, however many ask for it', async t => {
	await using stage = await LocalMountStage.open();
	const activations = stage.manager.activations({namespace: 'n'});
	const mounts: readonly Mount[] = [{type: 'mkfs/loop', source: path.join(stage.root, 'disk.img'), target: '', options: ['X-containerd.mkfs.size=8m']}];
	await Promise.all(['a', 'b', 'c'].map(async name => activations.activate({name, mounts})));
	t.deepEqual(await readdir(stage.root), ['disk.img']);
	await Promise.all(['a', 'b', 'c'].map(async name => activations.deactivate(name)));
	t.deepEqual(await stage.leftovers(), []);
});
