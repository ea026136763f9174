import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import type {Mount} from '../../api/gen/types/mount.ts';
import {connect, type Client} from '../../client/index.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {Daemon, type DaemonOptions} from '../helpers/daemon.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {Registry} from '../helpers/registry.ts';
import {createContainer, createTask, remove, runTask} from '../helpers/task-client.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {until} from '../helpers/until.ts';

// No peer here serves Mounts, which came with containerd 2.2: what is asked for is made by hand after its documents, with the typed client.

const test = anyTest.serial as TestFn;
const run = promisify(execFile);
const mountOf = (type: string, source: string, ...options: readonly string[]): Mount => ({type, source, target: '', options: [...options]});

interface Scene extends AsyncDisposable {
	readonly daemon: Daemon;
	readonly ctr: Ctr;
	readonly client: Client;
}

async function open(options: DaemonOptions = {}): Promise<Scene> {
	const daemon = await Daemon.start(keelson(), options);
	const ctr = daemon.ctr('2.1', daemon.namespace('mounts'));
	const client = connect(daemon.places.address, {namespace: ctr.namespace});
	return {
		daemon, ctr, client,
		async [Symbol.asyncDispose]() {
			client[Symbol.dispose]();
			const devices = await devicesOf(daemon);
			await daemon[Symbol.asyncDispose]();
			// Of a test that failed; a device whose mount is gone stays until it is given back.
			for (const device of devices) {
				await run('/usr/sbin/losetup', ['--detach', `/dev/${device}`]).catch(() => undefined);
			}
		},
	};
}

async function devicesOf({places: {directory}}: Daemon): Promise<readonly string[]> {
	const found = await Promise.all((await readdir('/sys/block')).filter(name => name.startsWith('loop')).map(async name => {
		const file = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '');
		return file.startsWith(`${directory}/`) ? [name] : [];
	}));
	return found.flat();
}

async function isClean(t: ExecutionContext, daemon: Daemon): Promise<void> {
	const left = async () => [...await devicesOf(daemon), ...await readdir(path.join(daemon.places.state, 'io.containerd.mount-manager.v1.bolt/t')), ...await daemon.leftovers()];
	let seen: readonly string[] = [];
	await until('nothing to be left', async () => {
		seen = await left();
		return seen.length === 0;
	}).catch(() => undefined);
	t.deepEqual(seen, []);
}

async function imageIn(daemon: Daemon, name: string, tree?: string): Promise<string> {
	const file = path.join(daemon.scratch, name);
	await writeFile(file, '');
	await truncate(file, 16 << 20);
	await run('/usr/sbin/mkfs.ext4', ['-q', ...tree === undefined ? [] : ['-d', tree], file]);
	return file;
}

async function listed(client: Client, ...filters: readonly string[]): Promise<readonly string[]> {
	const names: string[] = [];
	for await (const {info} of client.services.mounts.list({filters: [...filters]})) {
		names.push(info?.name ?? '');
	}

	return names;
}

test('by hand: activations are made, shown, listed, and given back', async t => {
	t.timeout(60_000);
	await using scene = await open();
	const {daemon, ctr, client} = scene;
	const {mounts} = client.services;
	const image = await imageIn(daemon, 'disk.img');
	const lower = path.join(daemon.scratch, 'lower');
	await mkdir(lower);
	await writeFile(path.join(lower, 'words'), 'from below');
	const request = {
		name: 'one', labels: {kind: 'disk'}, mounts: [
			mountOf('loop', image), mountOf('format/ext4', '{{ mount 0 }}'), mountOf('bind', lower, 'rbind', 'ro'),
			mountOf('format/mkdir/overlay', 'overlay', 'X-containerd.mkdir.path={{ mount 1 }}/u', 'X-containerd.mkdir.path={{ mount 1 }}/w', 'lowerdir={{ mount 2 }}', 'upperdir={{ mount 1 }}/u', 'workdir={{ mount 1 }}/w'),
		],
	};
	const {info} = await mounts.activate(request);
	t.deepEqual(info?.active.map(({mount}) => mount?.type), ['loop', 'ext4', 'bind']);
	t.true(info?.active.every(({mountPoint, mountedAt}) => mountPoint.startsWith(`${daemon.places.state}/`) && mountedAt !== undefined));
	const points = info?.active.map(({mountPoint}) => mountPoint) ?? [];
	t.deepEqual(info?.system, [mountOf('overlay', 'overlay', `lowerdir=${points[2]}`, `upperdir=${points[1]}/u`, `workdir=${points[1]}/w`)]);
	t.deepEqual((await mounts.info({name: 'one'})).info, info);
	await t.throwsAsync(mounts.activate(request), {code: 'ALREADY_EXISTS'});

	const temporary = await mounts.activate({name: 'two', mounts: [mountOf('bind', lower, 'rbind')], temporary: true});
	t.is(await readFile(path.join(temporary.info?.system[0]?.source ?? '', 'words'), 'utf8'), 'from below');
	t.deepEqual(await listed(client), ['one', 'two']);
	t.deepEqual(await listed(client, 'labels.kind==disk'), ['one']);
	await t.throwsAsync(mounts.update({info, updateMask: ['labels']}), {code: 'UNIMPLEMENTED'});
	await t.throwsAsync(mounts.activate({name: 'none', mounts: [mountOf('bind', lower)]}), {code: 'UNIMPLEMENTED'});
	await t.throwsAsync(mounts.info({name: 'none'}, {namespace: 'other'}), {code: 'NOT_FOUND'});
	await t.throwsAsync(mounts.activate({name: 'half', mounts: [mountOf('loop', image), mountOf('format/ext4', '/dev/null'), mountOf('format/ext4', '')]}));
	t.deepEqual(await listed(client), ['one', 'two']);
	await mounts.deactivate({name: 'one'});
	await mounts.deactivate({name: 'two'});
	await t.throwsAsync(mounts.deactivate({name: 'two'}), {code: 'NOT_FOUND'});
	t.regex(await ctr.ok('plugins', 'ls'), /io\.containerd\.mount-manager\.v1 +bolt .*ok/v);
	await isClean(t, daemon);
});

test('by hand: activations outlive kill -9 of the daemon, and go with their lease or container', async t => {
	t.timeout(90_000);
	await using scene = await open();
	const {daemon, client} = scene;
	const {mounts, leases, containers} = client.services;
	const image = await imageIn(daemon, 'disk.img');
	await leases.create({id: 'lease', labels: {}});
	await containers.create({container: {id: 'box', runtime: {name: 'io.containerd.runc.v2', options: undefined}, spec: {typeUrl: 'spec', value: Buffer.from('{}')}}});
	const {info} = await mounts.activate({name: 'leased', mounts: [mountOf('loop', image), mountOf('format/ext4', '{{ mount 0 }}')], temporary: true}, {lease: 'lease'});
	await mounts.activate({name: 'boxed', mounts: [mountOf('loop', image, 'ro')], labels: {'containerd.io/gc.bref.container.x': 'box'}});
	await t.throwsAsync(mounts.activate({name: 'lost', mounts: [mountOf('loop', image)]}, {lease: 'no-such-lease'}), {code: 'NOT_FOUND'});
	await daemon.kill9();
	await daemon.start();
	t.deepEqual(await listed(client), ['boxed', 'leased']);
	t.deepEqual((await mounts.info({name: 'leased'})).info, info);
	await leases.delete({id: 'lease', sync: true});
	t.deepEqual(await listed(client), ['boxed']);
	await containers.delete({id: 'box'});
	await until('the container to take its activation along', async () => (await listed(client)).length === 0);
	await isClean(t, daemon);
});

test('by hand: a daemon that is killed in the middle of an activation leaves nothing to the next', async t => {
	t.timeout(90_000);
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-slow-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	await writeFile(path.join(directory, 'mkfs.ext4'), `#!/bin/sh\ntouch ${directory}/begun\nwhile [ ! -e ${directory}/end ]; do sleep 0.05; done\ntouch ${directory}/ended\n`, {mode: 0o755});
	await using scene = await open({searchFirst: [directory]});
	const {daemon, client} = scene;
	const {mounts} = client.services;
	const slow = {name: 'slow', mounts: [mountOf('loop', await imageIn(daemon, 'disk.img')), mountOf('format/ext4', '{{ mount 0 }}'), mountOf('mkfs/loop', path.join(daemon.places.root, 'new.img'), 'X-containerd.mkfs.size=16MiB')]};
	const activating = t.throwsAsync(mounts.activate(slow));
	await until('mkfs to begin', () => existsSync(path.join(directory, 'begun')));
	t.is((await devicesOf(daemon)).length, 1);
	t.deepEqual(await listed(client), [], 'it is not there before it is whole');
	await daemon.kill9();
	await activating;
	await writeFile(path.join(directory, 'end'), '');
	await until('mkfs to end', () => existsSync(path.join(directory, 'ended')));
	await daemon.start();
	t.deepEqual(await listed(client), []);
	await isClean(t, daemon);
	const {info} = await mounts.activate(slow);
	t.is(info?.active.length, 3);
	await mounts.deactivate({name: 'slow'});
	await isClean(t, daemon);
});

test('by hand: tasks run on mounts that the daemon activates, and on the option loop', async t => {
	t.timeout(120_000);
	await using registry = await Registry.start();
	const images = await pushTestImages(registry);
	await using scene = await open();
	const {daemon, ctr, client} = scene;
	const {tasks, containers, snapshots} = client.services;
	await ctr.ok('images', 'pull', '--plain-http', images.busybox);

	// What a container writes goes into a disk of its own, which can be full.
	await createContainer(client, ctr, images.busybox, {id: 'disk', args: ['sh', '-c', 'echo hello >/kept; dd if=/dev/zero of=/big bs=1M count=64 2>&1 | grep -o "No space.*"']});
	const {container} = await containers.get({id: 'disk'});
	const given = await snapshots.mounts({snapshotter: container?.snapshotter ?? '', key: container?.snapshotKey ?? ''});
	const lower = given.mounts[0]?.options.find(option => option.startsWith('lowerdir=')) ?? '';
	const rootfs = [
		mountOf('mkfs/loop', path.join(daemon.places.root, 'disk.img'), 'X-containerd.mkfs.size=16MiB'), mountOf('format/ext4', '{{ mount 0 }}'),
		mountOf('format/mkdir/overlay', 'overlay', 'X-containerd.mkdir.path={{ mount 1 }}/u:0755', 'X-containerd.mkdir.path={{ mount 1 }}/w', lower, 'upperdir={{ mount 1 }}/u', 'workdir={{ mount 1 }}/w'),
	];
	t.deepEqual(await runTask(client, daemon, 'disk', {rootfs}), {text: 'No space left on device\n', code: 0});
	await isClean(t, daemon);

	// It is there while the task is, also when the daemon was killed meanwhile.
	await createTask(client, 'disk', {rootfs});
	t.deepEqual(await listed(client, 'labels."containerd.io/gc.bref.container"==disk'), ['disk']);
	await daemon.kill9();
	await daemon.start();
	const {info} = await client.services.mounts.info({name: 'disk'});
	t.is(await readFile(path.join(info?.active[1]?.mountPoint ?? '', 'u/kept'), 'utf8'), 'hello\n');
	await until('the task to be known again', async () => (await tasks.get({containerId: 'disk'})).process?.pid !== 0);
	await tasks.kill({containerId: 'disk', signal: 9});
	await tasks.wait({containerId: 'disk'});
	await tasks.delete({containerId: 'disk'});
	await isClean(t, daemon);

	// A create that fails takes it back.
	await t.throwsAsync(createTask(client, 'disk', {rootfs: [...rootfs, mountOf('nonsense', 'x')]}));
	await t.throwsAsync(createTask(client, 'disk', {rootfs: [mountOf('format/bind', '{{ mount 0 }}')]}), {code: 'INVALID_ARGUMENT'});
	t.deepEqual(await listed(client), []);
	await isClean(t, daemon);

	// A file system in a file, which the shim itself mounts.
	const tree = lower.slice('lowerdir='.length).split(':')[0] ?? '';
	const image = await imageIn(daemon, 'busybox.img', tree);
	await createContainer(client, ctr, images.busybox, {id: 'loop', args: ['sh', '-c', 'grep -o "^/dev/loop[0-9]* / ext4 rw" /proc/mounts | cut -d" " -f2-']});
	t.deepEqual(await runTask(client, daemon, 'loop', {rootfs: [mountOf('ext4', image, 'loop')]}), {text: '/ ext4 rw\n', code: 0});
	await remove(ctr, 'disk', 'loop');
	await isClean(t, daemon);
});
