import {readdir, readFile, readlink, rm, symlink, unlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import type {MountHandler} from '../../contracts/mount-manager/mount-manager.ts';
import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {attachLoop, detachLoop, keepLoop} from '../../lib/sys/loop-device.ts';
import {unmount} from '../../lib/sys/mount.ts';
import {until} from '../helpers/until.ts';
import {containerOf} from '../../contracts/metadata/metadata-story.suite.ts';
import {LocalMountStage} from './mount-stage.ts';

test('what somebody else has unmounted is undone as a whole by the next daemon', async t => {
	await using stage = await LocalMountStage.open();
	const image = await stage.image();
	const made = await stage.manager.activations({namespace: 'n'}).activate({name: 'a', mounts: [{type: 'loop', source: image, target: '', options: []}, await stage.mount()], isTemporary: true});
	await stage.manager.activations({namespace: 'n'}).activate({name: 'b', mounts: [await stage.mount()], isTemporary: true});
	unmount(made.active[1]?.mountPoint ?? '');
	const again = (await stage.reopen()).activations({namespace: 'n'});
	await t.throwsAsync(again.info('a'), {code: 'NOT_FOUND'});
	t.is((await again.info('b')).name, 'b');
	await again.deactivate('b');
	await until('the rest to be undone', async () => (await stage.leftovers()).length === 0);
	t.deepEqual(stage.warnings, ['an activation does not stand any more']);
});

test('a device that shows another file by now is not given back', async t => {
	await using stage = await LocalMountStage.open();
	const {active: [made]} = await stage.manager.activations({namespace: 'n'}).activate({name: 'a', mounts: [{type: 'loop', source: await stage.image(), target: '', options: []}]});
	const link = made?.mountPoint ?? '';
	const first = {path: await readlink(link), backing: await readFile(`${link}.backing`, 'utf8')};
	t.is(made?.data['device'], first.path);
	const other = await attachLoop(await stage.image());
	await keepLoop(other);
	other[Symbol.dispose]();
	// As when the first is given back by somebody, and the number is given to the other.
	await unlink(link);
	await symlink(other.path, link);
	const again = (await stage.reopen()).activations({namespace: 'n'});
	await t.throwsAsync(again.info('a'), {code: 'NOT_FOUND'});
	await until('the directory to go', async () => (await readdir(stage.targets)).length === 0);
	t.deepEqual((await stage.devices()).toSorted(), [first.path, other.path].toSorted());
	await Promise.all([detachLoop(first), detachLoop(other)]);
	t.deepEqual(await stage.leftovers(), []);
});

test('directories that no record knows are undone, and their numbers never given again', async t => {
	await using stage = await LocalMountStage.open();
	const {active} = await stage.manager.activations({namespace: 'n'}).activate({name: 'a', mounts: [await stage.mount()], isTemporary: true});
	t.is(active[0]?.mountPoint, path.join(stage.targets, '1/0'));
	await stage.close();
	await Promise.all(['', '-wal', '-shm'].map(async end => rm(path.join(stage.directory, `mounts.sqlite${end}`), {force: true})));
	const again = (await stage.reopen()).activations({namespace: 'n'});
	const {active: next} = await again.activate({name: 'a', mounts: [await stage.mount()], isTemporary: true});
	t.is(next[0]?.mountPoint, path.join(stage.targets, '2/0'));
	await again.deactivate('a');
	await until('the stray to be undone', async () => (await stage.leftovers()).length === 0);
});

test('after a reboot nothing is active, and no device of another is touched', async t => {
	await using stage = await LocalMountStage.open();
	const image = await stage.image();
	await stage.manager.activations({namespace: 'n'}).activate({name: 'a', mounts: [{type: 'loop', source: image, target: '', options: []}]});
	// The machine starts again: the device has the same number and shows the same file, but somebody else made it.
	stage.boot = 'next';
	const again = (await stage.reopen()).activations({namespace: 'n'});
	await t.throwsAsync(again.info('a'), {code: 'NOT_FOUND'});
	await until('the record to go', async () => (await stage.leftovers()).every(line => line.startsWith('device')));
	t.is((await stage.devices()).length, 1);
	await again.activate({name: 'a', mounts: [await stage.mount()], isTemporary: true});
	await again.deactivate('a');
});

test('a lease that ends and a container that goes take their activations along', async t => {
	await using stage = await LocalMountStage.open();
	const {leases, containers} = stage.house.scope({namespace: 'n'});
	await stage.lease('l');
	await containers.create(containerOf('c'));
	const mounts = [await stage.mount()];
	await stage.manager.activations({namespace: 'n', lease: 'l'}).activate({name: 'of-lease', mounts, isTemporary: true});
	const activations = stage.manager.activations({namespace: 'n'});
	await activations.activate({name: 'of-container', mounts, isTemporary: true, labels: {'containerd.io/gc.bref.container': 'c'}});
	await activations.activate({name: 'of-nobody', mounts, isTemporary: true});
	const names = async (): Promise<readonly string[]> => (await activations.list()).map(({name}) => name);
	t.deepEqual(await names(), ['of-container', 'of-lease', 'of-nobody']);
	await stage.house.collect();
	t.deepEqual(await names(), ['of-container', 'of-lease']);
	await leases.delete('l', {sync: true});
	t.deepEqual(await names(), ['of-container']);
	await containers.delete('c');
	await stage.house.collect();
	t.deepEqual(await stage.leftovers(), []);
});

test('a type of a handler is the manager\'s, and stays until its handler is there to undo it', async t => {
	await using stage = await LocalMountStage.open();
	const calls: string[] = [];
	const handler: MountHandler = {
		async mount(mount, target) {
			calls.push(`mount ${mount.source}`);
			if (mount.source === 'bad') {
				await writeFile(`${target}.half`, '');
				throw new KeelsonError('UNAVAILABLE', 'not today');
			}
			await writeFile(target, mount.source);
			return {said: mount.source};
		},
		isMounted: async target => readFile(target).then(() => true, () => false),
		async unmount(target) {
			calls.push(`unmount ${path.basename(target)}`);
			await rm(target, {force: true});
		},
	};
	const mountOf = (source: string): Mount => ({type: 'odd', source, target: '', options: []});
	await t.throwsAsync(stage.manager.activations({namespace: 'n'}).activate({name: 'a', mounts: [mountOf('x')]}), {code: 'UNIMPLEMENTED'});
	stage.handlers = {odd: handler};
	const activations = (await stage.reopen()).activations({namespace: 'n'});
	const {active, system} = await activations.activate({name: 'a', mounts: [mountOf('x'), await stage.mount()]});
	t.like(active, [{mount: mountOf('x'), data: {said: 'x'}}]);
	t.is(system.length, 1);
	await t.throwsAsync(activations.activate({name: 'b', mounts: [mountOf('y'), mountOf('bad')]}), {code: 'UNAVAILABLE'});
	t.deepEqual(calls, ['mount x', 'mount y', 'mount bad', 'unmount 1', 'unmount 0']);
	t.deepEqual(await readdir(stage.targets), ['1']);

	stage.handlers = {};
	const without = (await stage.reopen()).activations({namespace: 'n'});
	await t.throwsAsync(without.deactivate('a'), {code: 'FAILED_PRECONDITION', message: /handler of the type odd, which is not loaded/});
	stage.handlers = {odd: handler};
	await stage.reopen();
	await until('it to be undone', async () => (await stage.leftovers()).length === 0);
});
