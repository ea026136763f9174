import {randomBytes} from 'node:crypto';
import {mkdir, readdir} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import type {CreateTaskRequest} from '../../api/gen/services/tasks/v1/tasks.ts';
import {CheckpointOptions, Options} from '../../api/gen/types/runc/options/oci.ts';
import {Status} from '../../api/gen/types/task/task.ts';
import {Lease} from '../../client/lease.ts';
import {makeFifo} from '../../lib/sys/file-system.ts';
import {containerd} from '../helpers/containerd-program.ts';
import {criuFolder} from '../helpers/criu.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {Daemon} from '../helpers/daemon.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {FifoReader} from '../helpers/fifo-reader.ts';
import {runtimePrograms} from '../helpers/releases.ts';
import {clientOf, createContainer, createTask, remove} from '../helpers/task-client.ts';
import {until} from '../helpers/until.ts';

const folder = await criuFolder();
test.after.always(async () => folder[Symbol.asyncDispose]());
const scenario = endToEnd('checkpoint', {pairs: true, daemon: {searchFirst: [folder.path], withoutUnifiedCgroup: true}});

// A variable of the shell is nowhere but in memory; and a file that may be open at the time lies on a tmpfs, which is in the image.
const counting = ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; echo $i >/dev/count; sleep 0.05; done'];

const count = async (ctr: Ctr, id: string, exec: string): Promise<number> => Number(await ctr.prints('tasks', 'exec', '--exec-id', exec, id, 'cat', '/dev/count'));

/** A FIFO, and who reads it. */
function outputAt(at: string): FifoReader {
	makeFifo(at, 0o700);
	return new FifoReader(at);
}

/** The numbers in order, and nothing else. */
function isCounting(text: string): boolean {
	const numbers = text.split('\n').filter(line => line !== '').map(Number);
	return numbers.every((number, at) => at === 0 || number === (numbers[at - 1] ?? 0) + 1);
}

/** Paths that no other attempt has used. */
function placesIn(daemon: Daemon): (name: string) => string {
	const attempt = randomBytes(4).toString('hex');
	return name => path.join(daemon.scratch, `${attempt}-${name}`);
}

const checkpointOptions = (options: Partial<CheckpointOptions>) => ({
	typeUrl: 'containerd.runc.v1.CheckpointOptions', value: CheckpointOptions.encode(CheckpointOptions.fromPartial(options)).finish(),
});
const restoreFrom = (criuImagePath: string) => ({
	options: {typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial({criuImagePath})).finish()},
});

scenario('a container goes on in another from its checkpoint image, in memory and files', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'first', ...counting);
	await until('it to count', async () => await count(ctr, 'first', 'seen') > 2);
	await ctr.ok('tasks', 'exec', '--exec-id', 'write', 'first', 'sh', '-c', 'echo mine >/written');
	await ctr.ok('containers', 'checkpoint', '--task', '--rw', '--image', 'first', 'example.com/kept:1');
	const before = await count(ctr, 'first', 'before');
	await remove(ctr, 'first');
	t.true((await ctr.lines('images', 'ls', '-q')).includes('example.com/kept:1'));
	await using restoring = ctr.background('containers', 'restore', '--live', '--rw', 'second', 'example.com/kept:1');
	await until('it to run', async () => (await ctr.rows('tasks', 'ls')).some(row => row[0] === 'second' && row[2] === 'RUNNING'));
	await until('it to go on', async () => await count(ctr, 'second', 'after') > before + 2);
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'read', 'second', 'cat', '/written'), 'mine\n');
	await ctr.ok('tasks', 'kill', '--signal', 'KILL', 'second');
	await restoring.exit();
	await remove(ctr, 'second');
	await ctr.ok('images', 'rm', '--sync', 'example.com/kept:1');
}, {pairs: true});

scenario('a checkpoint is two descriptors without a path and none with one; it leaves a task as it was, or ends it', async ({t, ctr, images, daemon}) => {
	await ctr.ok('run', '-d', images.busybox, 'kept', ...counting);
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	await tasks.pause({containerId: 'kept'});
	await using lease = await Lease.create(client.services);
	const {descriptors} = await tasks.checkpoint({containerId: 'kept'}, {lease: lease.id});
	t.deepEqual(descriptors.map(({mediaType}) => mediaType), [
		'application/vnd.containerd.container.criu.checkpoint.criu.tar', 'application/vnd.containerd.container.checkpoint.config.v1+proto',
	]);
	t.is((await tasks.get({containerId: 'kept'})).process?.status, Status.PAUSED, 'a paused task stays paused');
	await tasks.resume({containerId: 'kept'});
	const imagePath = placesIn(daemon)('image');
	t.deepEqual((await tasks.checkpoint({containerId: 'kept', options: checkpointOptions({imagePath, exit: true})})).descriptors, []);
	t.true((await readdir(imagePath)).includes('pstree.img'));
	await until('it to end', async () => (await tasks.get({containerId: 'kept'})).process?.status === Status.STOPPED);
	t.is((await tasks.wait({containerId: 'kept'})).exitStatus, 137);
	await remove(ctr, 'kept');
	// From either one goes on: once from content, once from the path.
	for (const [id, request] of [['of-content', {checkpoint: descriptors[0]}], ['of-path', restoreFrom(imagePath)]] as const) {
		await ctr.ok('containers', 'create', '--', images.busybox, id, ...counting);
		await createTask(client, id, request);
		t.is((await tasks.get({containerId: id})).process?.status, Status.CREATED);
		await tasks.start({containerId: id});
		await until('it to count on', async () => await count(ctr, id, 'after') > 1);
		if (daemon.kind === 'keelson') {
			const work = path.join(daemon.places.root, 'io.containerd.runtime.v2.task', ctr.namespace, id);
			t.false((await readdir(work)).includes('checkpoint'), 'an image as large as the memory is not kept');
		}
	}
	await remove(ctr, 'of-content', 'of-path');
}, {pairs: 'theirs'});

scenario('a client reads on where a checkpoint stopped, in order, and its image can be restored twice', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	const at = placesIn(daemon);
	using first = outputAt(at('first'));
	const imagePath = at('image');
	await ctr.ok('containers', 'create', '--', images.busybox, 'first', ...counting);
	await createTask(client, 'first', {stdout: first.path, stderr: first.path});
	await tasks.start({containerId: 'first'});
	await until('it to count', () => first.read().split('\n').length > 3);
	await tasks.checkpoint({containerId: 'first', options: checkpointOptions({imagePath, exit: true})});
	await tasks.wait({containerId: 'first'});
	const before = first.read();
	await remove(ctr, 'first');
	for (const id of ['second', 'third']) {
		using next = outputAt(at(id));
		await ctr.ok('containers', 'create', '--', images.busybox, id, ...counting);
		await createTask(client, id, {stdout: next.path, stderr: next.path, ...restoreFrom(imagePath)});
		await tasks.start({containerId: id});
		await until('it to go on', () => next.read().split('\n').length > 3);
		t.true(isCounting(before + next.read()), `${before}${next.read()}`);
		await remove(ctr, id);
	}
}, {pairs: 'theirs'});

scenario('what was restored can be kept again, and what is no checkpoint is refused', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	const at = placesIn(daemon);
	using outputs = new DisposableStack();
	await mkdir(at('empty'));
	await ctr.ok('containers', 'create', '--', images.busybox, 'none', ...counting);
	await t.throwsAsync(createTask(client, 'none', {checkpoint: {mediaType: 'text/plain', digest: `sha256:${'0'.repeat(64)}`, size: 1n, annotations: {}}}), {message: /unsupported checkpoint type "text\/plain"/v});
	await createTask(client, 'none', restoreFrom(at('empty')));
	await t.throwsAsync(tasks.start({containerId: 'none'}), {message: /OCI runtime restore failed/v});
	await remove(ctr, 'none');
	let image: string | undefined;
	let text = '';
	for (const id of ['one', 'two', 'three']) {
		const output = outputs.use(outputAt(at(id)));
		await ctr.ok('containers', 'create', '--', images.busybox, id, ...counting);
		await createTask(client, id, {stdout: output.path, stderr: output.path, ...image === undefined ? {} : restoreFrom(image)});
		await tasks.start({containerId: id});
		await until('it to count', () => output.read().split('\n').length > 3);
		image = at(`image-${id}`);
		await tasks.checkpoint({containerId: id, options: checkpointOptions({imagePath: image, exit: true})});
		await tasks.wait({containerId: id});
		text += output.read();
		await remove(ctr, id);
	}
	t.true(isCounting(text), text);
}, {only: 'keelson', until: '1.6'});

scenario('a checkpoint of containerd\'s goes on here', async ({t, ctr, images, daemon}) => {
	await using peer = await Daemon.start(containerd('1.6'), {searchFirst: [folder.path], withoutUnifiedCgroup: true});
	const theirs = peer.ctr('1.6', ctr.namespace);
	await theirs.ok('images', 'pull', '--plain-http', images.busybox);
	using theirClient = clientOf(peer, theirs);
	using before = outputAt(path.join(peer.scratch, 'before'));
	const imagePath = path.join(daemon.scratch, 'of-containerd');
	await theirs.ok('containers', 'create', '--', images.busybox, 'moved', ...counting);
	await createTask(theirClient, 'moved', {stdout: before.path, stderr: before.path});
	await theirClient.services.tasks.start({containerId: 'moved'});
	await until('it to count', () => before.read().split('\n').length > 3);
	await theirClient.services.tasks.checkpoint({containerId: 'moved', options: checkpointOptions({imagePath, exit: true})});
	await theirClient.services.tasks.wait({containerId: 'moved'});
	await until('the rest', () => {
		before.read();
		return before.isAtEnd;
	});
	const {text} = before;
	await remove(theirs, 'moved');

	using client = clientOf(daemon, ctr);
	using after = outputAt(path.join(daemon.scratch, 'after'));
	await ctr.ok('containers', 'create', '--', images.busybox, 'moved', ...counting);
	await createTask(client, 'moved', {stdout: after.path, stderr: after.path, ...restoreFrom(imagePath)});
	await client.services.tasks.start({containerId: 'moved'});
	await until('it to go on', () => after.read().split('\n').length > 3);
	t.true(isCounting(text + after.read()), `${text}${after.read()}`);
	await remove(ctr, 'moved');
}, {only: 'keelson', until: '1.6'});

// With a network of its own, ours is pinned and stays outside of the image: nobody else has that path.
scenario('a checkpoint of ours goes on in containerd where all was copied', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	using before = outputAt(path.join(daemon.scratch, 'ours'));
	const imagePath = path.join(daemon.scratch, 'for-containerd');
	await createContainer(client, ctr, images.busybox, {id: 'moved', args: counting, flags: ['--net-host'], change: spec => {
		spec.annotations = {...spec.annotations, 'io.keelson.stdio': 'copied'};
	}});
	await createTask(client, 'moved', {stdout: before.path, stderr: before.path});
	await client.services.tasks.start({containerId: 'moved'});
	await until('it to count', () => before.read().split('\n').length > 3);
	await client.services.tasks.checkpoint({containerId: 'moved', options: checkpointOptions({imagePath, exit: true})});
	await client.services.tasks.wait({containerId: 'moved'});
	await until('the rest', () => {
		before.read();
		return before.isAtEnd;
	});
	await remove(ctr, 'moved');

	await using peer = await Daemon.start(containerd('1.6'), {searchFirst: [folder.path], withoutUnifiedCgroup: true});
	const theirs = peer.ctr('1.6', ctr.namespace);
	await theirs.ok('images', 'pull', '--plain-http', images.busybox);
	using theirClient = clientOf(peer, theirs);
	using after = outputAt(path.join(peer.scratch, 'after'));
	await createContainer(theirClient, theirs, images.busybox, {id: 'moved', args: counting, flags: ['--net-host']});
	await createTask(theirClient, 'moved', {stdout: after.path, stderr: after.path, ...restoreFrom(imagePath)});
	await theirClient.services.tasks.start({containerId: 'moved'});
	await until('it to go on', () => after.read().split('\n').length > 3);
	t.true(isCounting(before.text + after.text), `${before.text}${after.text}`);
	await remove(theirs, 'moved');
}, {only: 'keelson', until: '1.6'});

scenario('a newer runc keeps and restores a container too', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	const at = placesIn(daemon);
	const options = (criuImagePath = ''): Pick<CreateTaskRequest, 'options'> => ({options: {
		typeUrl: 'containerd.runc.v1.Options',
		value: Options.encode(Options.fromPartial({criuImagePath, binaryName: path.join(runtimePrograms, 'runc')})).finish(),
	}});
	using first = outputAt(at('first'));
	await createContainer(client, ctr, images.busybox, {id: 'first', args: counting});
	await createTask(client, 'first', {stdout: first.path, stderr: first.path, ...options()});
	await tasks.start({containerId: 'first'});
	await until('it to count', () => first.read().split('\n').length > 3);
	await tasks.checkpoint({containerId: 'first', options: checkpointOptions({imagePath: at('image'), exit: true})});
	await tasks.wait({containerId: 'first'});
	const before = first.read();
	await remove(ctr, 'first');
	using second = outputAt(at('second'));
	await createContainer(client, ctr, images.busybox, {id: 'second', args: counting});
	await createTask(client, 'second', {stdout: second.path, stderr: second.path, ...options(at('image'))});
	await tasks.start({containerId: 'second'});
	await until('it to go on', () => second.read().split('\n').length > 3);
	t.true(isCounting(before + second.read()), `${before}${second.read()}`);
	await remove(ctr, 'second');
}, {only: 'keelson', until: '1.6'});
