import {execFile} from 'node:child_process';
import {lstat, mkdir, readFile, readdir, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import {until} from '../helpers/until.ts';
import {hold} from './hold.ts';
import {processOf, type SemanticsRoom} from './semantics-room.ts';
import type {Fact} from './semantics-suite.ts';

const run = promisify(execFile);

interface Made {
	mounts: object[];
	linux: {namespaces: {type: string}[]} & Record<string, unknown>;
}

/** Files in and out of containers: in containerd a message without a service. */
export function copySemantics(fact: Fact): void {
	fact('files go into a container that runs, and come out of it, with what is mounted in it', async (t, room) => {
		const volume = path.join(room.daemon.scratch, 'volume');
		await mkdir(volume);
		const id = await room.container(['sleep', '60'], {spec: made => {
			const {mounts, ...rest} = made as Made;
			return {...rest, mounts: [...mounts, {type: 'bind', source: volume, destination: '/tmp', options: ['rbind', 'rw']}]};
		}});
		const {tasks} = room.client.services;
		await tasks.create({containerId: id});
		const container = room.client.container(id);
		await container.writeFiles('/tmp', tarFrom(room, {'deep/er': 'hello'}));
		t.is(await readFile(path.join(volume, 'deep/er'), 'utf8'), 'hello');
		await tasks.start({containerId: id});
		// What a process of it makes is seen at once.
		using reader = room.output();
		await tasks.exec({containerId: id, execId: 'maker', stdout: reader.path, spec: processOf(['sh', '-c', 'cat /tmp/deep/er; echo made > /tmp/new; ln -s /tmp/new /tmp/link'])});
		await tasks.start({containerId: id, execId: 'maker'});
		await tasks.wait({containerId: id, execId: 'maker'});
		await until('the output', () => reader.read() === 'hello');
		t.deepEqual(await listing(container, '/tmp'), ['tmp/', 'tmp/deep/', 'tmp/deep/er', 'tmp/link', 'tmp/new']);
		t.deepEqual(await listing(container, '/tmp', {noWalk: true}), ['tmp/']);
		// What the kernel makes up is no file of a container.
		t.deepEqual(await listing(container, '/proc'), ['proc/']);
		await t.throwsAsync(listing(container, '/nowhere'), {code: 'NOT_FOUND', message: /nowhere/});
		await t.throwsAsync(listing(room.client.container('nobody'), '/'), {code: 'NOT_FOUND'});
		await room.remove(id);
	}, {since: 'keelson'});

	fact('a path of a container is resolved within its root, whatever its links say and whether it runs', async (t, room) => {
		const secret = path.join(room.daemon.scratch, 'secret');
		await mkdir(secret);
		await writeFile(path.join(secret, 'key'), 'key');
		const id = await room.container(['sh', '-c', `ln -sf ${secret} /tmp/out; ln -sf ../../../../../../..${secret} /tmp/up; ln -sf /proc/1/root /tmp/magic; echo ready; sleep 60`]);
		const {tasks} = room.client.services;
		using reader = room.output();
		await tasks.create({containerId: id, stdout: reader.path});
		await tasks.start({containerId: id});
		await until('the links', () => reader.read().includes('ready'));
		const container = room.client.container(id);
		const tries = async (): Promise<void> => {
			for (const link of ['out', 'up', 'magic/tmp/out']) {
				await t.throwsAsync(listing(container, `/tmp/${link}/key`), undefined, link);
				await t.throwsAsync(container.writeFiles(`/tmp/${link}`, tarFrom(room, {planted: 'x'})), undefined, link);
			}
			t.deepEqual(await listing(container, '/tmp/out'), ['out']);
		};
		await tries();
		await tasks.kill({containerId: id, signal: 9});
		await tasks.wait({containerId: id});
		await tries();
		await tasks.delete({containerId: id});
		await tries();
		t.deepEqual(await readdir(secret), ['key']);
		await room.remove(id);
		await rm(path.join(room.rootfs, 'tmp'), {recursive: true});
		await mkdir(path.join(room.rootfs, 'tmp'));
	}, {since: 'keelson'});

	fact('files of a container that does not run are those of its snapshot', async (t, room) => {
		using client = room.fresh();
		const {snapshots, containers} = client.services;
		const [snapshotter, held] = ['overlayfs', await hold(client)];
		await snapshots.prepare({snapshotter, key: 'base'}, held);
		await snapshots.commit({snapshotter, key: 'base', name: 'one'}, held);
		await snapshots.prepare({snapshotter, key: 'mine', parent: 'one'}, held);
		const {container} = await room.client.services.containers.get({id: await room.container(['true'])});
		await containers.create({container: {...container, id: 'still', snapshotter, snapshotKey: 'mine'}});
		const still = client.container('still');
		await still.writeFiles('/', tarFrom(room, {'etc/passwd': 'root'}));
		t.deepEqual(await listing(still, '/etc/passwd'), ['passwd']);
		const [mount] = (await snapshots.mounts({snapshotter, key: 'mine'})).mounts;
		const upper = mount?.options.find(option => option.startsWith('upperdir='))?.slice('upperdir='.length) ?? '';
		t.is(await readFile(path.join(upper, 'etc/passwd'), 'utf8'), 'root');
		await containers.delete({id: 'still'});
	}, {since: 'keelson'});

	fact('files that are copied into a user namespace belong to its root, or to whom they belonged', async (t, room) => {
		const map = [{containerID: 0, hostID: 100_000, size: 65_536}];
		const id = await room.container(['sleep', '60'], {spec: made => {
			const {linux, ...rest} = made as Made;
			return {...rest, linux: {...linux, uidMappings: map, gidMappings: map, namespaces: [...linux.namespaces, {type: 'user'}]}};
		}});
		const container = room.client.container(id);
		const file = path.join(room.rootfs, 'tmp/owned');
		await container.writeFiles('/tmp', tarFrom(room, {owned: 'x'}));
		t.is((await lstat(file)).uid, 100_000);
		await container.writeFiles('/tmp', tarFrom(room, {owned: 'x'}), {keepOwners: true});
		t.is((await lstat(file)).uid, 100_005);
		await rm(file);
		await room.client.services.containers.delete({id});
	}, {since: 'keelson'});

	fact('files are not copied into a root that is read-only', async (t, room) => {
		const id = await room.container(['sleep', '60'], {spec: made => ({...made, root: {path: room.rootfs, readonly: true}})});
		const container = room.client.container(id);
		await t.throwsAsync(container.writeFiles('/tmp', tarFrom(room, {a: 'x'})), {code: 'FAILED_PRECONDITION', message: /read-only/});
		await room.client.services.tasks.create({containerId: id});
		await t.throwsAsync(container.writeFiles('/tmp', tarFrom(room, {a: 'x'})), {code: 'FAILED_PRECONDITION', message: /[Rr]ead-only/});
		t.deepEqual(await listing(container, '/tmp'), ['tmp/']);
		await room.remove(id);
	}, {since: 'keelson'});
}

/** Names in the tar that comes out of a container, as GNU tar reads them. */
async function listing(container: ReturnType<SemanticsRoom['client']['container']>, inner: string, options: {readonly noWalk?: boolean} = {}): Promise<string[]> {
	const chunks: Uint8Array[] = [];
	await container.readFiles(inner, async chunk => void chunks.push(chunk), options);
	const tar = execFile('tar', ['-t']);
	const names: string[] = [];
	tar.stdout?.on('data', (text: string) => names.push(text));
	tar.stdin?.end(Buffer.concat(chunks));
	await new Promise((resolve, reject) => tar.once('exit', code => code === 0 ? resolve(undefined) : reject(new Error(`tar: ${code}`))));
	return names.join('').split('\n').filter(name => name !== '').toSorted();
}

/** What GNU tar makes of these files, all of user 5. */
async function * tarFrom(room: SemanticsRoom, files: Readonly<Record<string, string>>): AsyncGenerator<Uint8Array, void, undefined> {
	const directory = path.join(room.daemon.scratch, 'tar');
	await mkdir(directory);
	for (const [name, text] of Object.entries(files)) {
		await mkdir(path.dirname(path.join(directory, name)), {recursive: true});
		await writeFile(path.join(directory, name), text);
	}
	const {stdout} = await run('tar', ['-c', '--owner=5', '--group=5', '--numeric-owner', '-C', directory, '.'], {encoding: 'buffer'});
	await rm(directory, {recursive: true});
	yield stdout;
}
