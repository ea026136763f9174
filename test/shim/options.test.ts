import {access, mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import type {CreateTask} from '../../contracts/task/task.ts';
import {shimOfRelease} from './foreign-shim.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;
const name = 'io.containerd.runc.v2';
const optionsOf = (options: Partial<Options>) => ({typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial(options)).finish()});

/** runc behind a program that writes down what it is told. This machine has no systemd to make cgroups by, so that word goes no further. */
async function recordingRunc(stage: ShimStage, file = 'recording-runc'): Promise<{readonly binary: string; readonly said: () => Promise<string>}> {
	const [binary, log] = [path.join(stage.directory, file), path.join(stage.directory, `${file}.said`)];
	await writeFile(binary, `#!/bin/sh\necho "$*" >> ${log}\nfor word; do shift; [ "$word" = --systemd-cgroup ] || set -- "$@" "$word"; done\nexec runc "$@"\n`, {mode: 0o755});
	return {binary, said: async () => readFile(log, 'utf8').catch(() => '')};
}

async function whileCreated(stage: ShimStage, containerId: string, request: Partial<CreateTask>, look: () => Promise<void>): Promise<void> {
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, containerId, ...request});
	try {
		await look();
	} finally {
		await tasks.delete(containerId);
	}
}

for (const [whose, runtime] of [['our shim', name], ['the shim of containerd 2.1', shimOfRelease('2.1')]] as const) {
	test(`${whose}: binary, root, systemd, pivot and keyring reach the runtime`, async t => {
		await using stage = await ShimStage.open();
		const {binary, said} = await recordingRunc(stage);
		const root = path.join(stage.directory, 'elsewhere');
		const options = optionsOf({binaryName: binary, root, systemdCgroup: true, noPivotRoot: true, noNewKeyring: true});
		const containerId = await stage.container(['/bin/true'], {record: {runtime: {name: runtime, options}}});
		await whileCreated(stage, containerId, {}, async () => {
			await access(path.join(root, stage.namespace, containerId, 'state.json'));
		});
		const create = (await said()).split('\n').find(line => line.includes(' create ')) ?? '';
		for (const word of [`--root ${path.join(root, stage.namespace)}`, '--systemd-cgroup', '--no-pivot', '--no-new-keyring']) {
			t.true(create.includes(word), `${word} in: ${create}`);
		}
		t.deepEqual(await stage.leftovers(containerId), []);
	});

	test(`${whose}: options of the request replace the container's whole, and none leave them as they are`, async t => {
		await using stage = await ShimStage.open();
		const [ofContainer, ofRequest] = [await recordingRunc(stage, 'of-container'), await recordingRunc(stage, 'of-request')];
		const root = path.join(stage.directory, 'elsewhere');
		const containerId = await stage.container(['/bin/true'], {record: {runtime: {name: runtime, options: optionsOf({binaryName: ofContainer.binary, root, noPivotRoot: true})}}});
		await whileCreated(stage, containerId, {options: optionsOf({binaryName: ofRequest.binary})}, async () => {
			await t.throwsAsync(access(path.join(root, stage.namespace, containerId)), {code: 'ENOENT'});
		});
		t.is(await ofContainer.said(), '');
		t.false((await ofRequest.said()).includes('--no-pivot'));
		const before = await ofRequest.said();
		for (const empty of [{typeUrl: '', value: new Uint8Array(0)}, {typeUrl: 'containerd.runc.v1.Options', value: new Uint8Array(0)}]) {
			await whileCreated(stage, containerId, {options: empty}, async () => access(path.join(root, stage.namespace, containerId)));
		}
		t.is(await ofRequest.said(), before);
		t.regex(await ofContainer.said(), /--no-pivot/);
	});

	test(`${whose}: a runtime that is not there is named`, async t => {
		await using stage = await ShimStage.open();
		const containerId = await stage.container(['/bin/true'], {record: {runtime: {name: runtime, options: optionsOf({binaryName: '/nowhere/runc'})}}});
		await t.throwsAsync(stage.manager.tasks(stage.namespace).create({...none, containerId}), {message: whose === 'our shim' ? /"\/nowhere\/runc"/ : /\/nowhere\/runc/});
		t.deepEqual(await stage.leftovers(containerId), []);
	});
}

test('streams belong to the group that options name; the user is the process\'s own, which the runtime sees to', async t => {
	await using stage = await ShimStage.open({options: optionsOf({ioUid: 1000, ioGid: 1001})});
	const containerId = await stage.container(['/bin/true']);
	const tasks = stage.manager.tasks(stage.namespace);
	const stdout = await stage.output();
	await tasks.create({...none, containerId, stdout: stdout.path});
	const {uid, gid} = await stat(stdout.path);
	t.deepEqual([uid, gid], [0, 1001]);
	await tasks.delete(containerId);
});

test('streams that go through the shim belong to that group too', async t => {
	await using stage = await ShimStage.open({options: optionsOf({ioUid: 1000, ioGid: 1001}), stdio: 'copied'});
	const containerId = await stage.container(['/bin/sh', '-c', 'stat -Lc %u:%g /proc/self/fd/1 /proc/self/fd/2 >&2']);
	const tasks = stage.manager.tasks(stage.namespace);
	const [stdout, stderr] = [await stage.output(), await stage.output()];
	await tasks.create({...none, containerId, stdout: stdout.path, stderr: stderr.path});
	await tasks.start({containerId, execId: ''});
	await tasks.wait({containerId, execId: ''});
	t.is(await stderr.text(), '0:1001\n0:1001\n');
	await tasks.delete(containerId);
});

test('options of another runtime are refused by ours, and named', async t => {
	await using stage = await ShimStage.open({options: {typeUrl: 'runtimeoptions.v1.Options', value: Buffer.from([10, 1, 97])}});
	const containerId = await stage.container(['/bin/true']);
	await t.throwsAsync(stage.manager.tasks(stage.namespace).create({...none, containerId}), {code: 'INVALID_ARGUMENT', message: /runtimeoptions\.v1\.Options, expected containerd\.runc\.v1\.Options/});
	t.deepEqual(await stage.leftovers(containerId), []);
});

test('a runtime is found by its name, its path, or what the configuration says of its name', async t => {
	await using stage = await ShimStage.open({runtimes: {'io.example.other.v7': shimOfRelease('1.7'), 'io.containerd.runc.v2': shimOfRelease('1.6')}});
	const binaryOf = async (runtime: string): Promise<string> => {
		const containerId = await stage.container(['/bin/true'], {record: {runtime: {name: runtime}}});
		let binary = '';
		await whileCreated(stage, containerId, {}, async () => {
			binary = await readFile(path.join(stage.bundle(containerId), 'shim-binary-path'), 'utf8');
		});
		return binary;
	};
	t.is(await binaryOf('io.example.other.v7'), shimOfRelease('1.7'));
	t.is(await binaryOf('io.containerd.runc.v2'), shimOfRelease('1.6'));
	t.is(await binaryOf('io.containerd.keelson.v2'), stage.launcher);
	t.is(await binaryOf(shimOfRelease('2.1')), shimOfRelease('2.1'));
	const folder = path.join(stage.directory, 'search');
	await mkdir(folder);
	await writeFile(path.join(folder, 'containerd-shim-found-v2'), `#!/bin/sh\nexec ${shimOfRelease('2.1')} "$@"\n`, {mode: 0o755});
	const before = process.env['PATH'];
	process.env['PATH'] = `${before}:${folder}`;
	try {
		await stage.manager[Symbol.asyncDispose]();
		await stage.openManager();
		t.is(await binaryOf('io.example.found.v2'), path.join(folder, 'containerd-shim-found-v2'));
	} finally {
		process.env['PATH'] = before;
	}
});
