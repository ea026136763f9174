import {access, readdir, readFile, rmdir} from 'node:fs/promises';
import path from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import {RuntimeInfo} from '../../api/gen/types/introspection.ts';
import {releases} from '../helpers/releases.ts';
import {until} from '../helpers/until.ts';
import {shimOfRelease, writeBootstrapShim, writeStrictShim} from './foreign-shim.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;
const optionsOf = (options: Partial<Options>) => ({typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial(options)).finish()});

/** A container from its start to its end, in whatever shim the record names. Resolves with what the bundle says of the shim. */
async function live(t: ExecutionContext, stage: ShimStage, containerId: string): Promise<{version: number}> {
	const tasks = stage.manager.tasks(stage.namespace);
	// Their shims want both.
	const [stdout, stderr] = [await stage.output(), await stage.output()];
	await tasks.create({...none, containerId, stdout: stdout.path, stderr: stderr.path});
	const said = JSON.parse(await readFile(path.join(stage.bundle(containerId), 'bootstrap.json'), 'utf8')) as {version: number};
	await tasks.start({containerId, execId: ''});
	t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 7);
	t.is(await stdout.text(), 'hello\n');
	await tasks.delete(containerId);
	t.deepEqual(await stage.leftovers(containerId), []);
	t.deepEqual(stage.exits(containerId), [7]);
	return said;
}

for (const release of releases) {
	test(`the shim of containerd ${release} speaks its own version, and joins the cgroup that options name`, async t => {
		const group = `/keelson-foreign-${release}`;
		await using stage = await ShimStage.open({runtime: shimOfRelease(release), options: optionsOf({shimCgroup: group})});
		t.teardown(async () => {
			for (const controller of await readdir('/sys/fs/cgroup')) {
				await rmdir(`/sys/fs/cgroup/${controller}${group}`).catch(() => undefined);
			}
		});
		const containerId = await stage.container(['/bin/sleep', '100']);
		const tasks = stage.manager.tasks(stage.namespace);
		await tasks.create({...none, containerId});
		t.regex(await readFile(`/proc/${await stage.shimOf(containerId)}/cgroup`, 'utf8'), new RegExp(`:pids:${group}\n`));
		await tasks.delete(containerId);
		const {version} = await live(t, stage, await stage.container(['/bin/sh', '-c', 'echo hello; exit 7']));
		t.is(version, release === '2.1' ? 3 : 2);
	});
}

test('a shim of containerd 2.1 that is killed is the end of its whole group, and leaves no socket', async t => {
	await using stage = await ShimStage.open({runtime: shimOfRelease('2.1')});
	const tasks = stage.manager.tasks(stage.namespace);
	const ids: string[] = [];
	for (let made = 0; made < 2; made++) {
		const containerId = await stage.container(['/bin/sleep', '100'], {annotations: {'io.containerd.runc.v2.group': 'pod'}});
		await tasks.create({...none, containerId});
		await tasks.start({containerId, execId: ''});
		ids.push(containerId);
	}
	const [one = '', two = ''] = ids;
	const [shim, socket] = [await stage.shimOf(one), await stage.socketOf(one)];
	t.is(await stage.shimOf(two), shim);
	const ends = ids.map(async containerId => tasks.wait({containerId, execId: ''}));
	process.kill(shim, 'SIGKILL');
	const exits = await Promise.all(ends);
	await until('both to be taken away', async () => (await tasks.list()).length === 0);
	for (const [at, id] of ids.entries()) {
		t.deepEqual(stage.exits(id), [exits[at]?.exitStatus]);
		t.deepEqual(await stage.leftovers(id), []);
	}
	await t.throwsAsync(access(socket), {code: 'ENOENT'});
});

test('only the shim of containerd 2.1 and ours say what they are', async t => {
	await using stage = await ShimStage.open();
	for (const release of ['1.6', '1.7'] as const) {
		await t.throwsAsync(stage.manager.runtimeInfo({runtimePath: shimOfRelease(release)}), {code: 'UNIMPLEMENTED', message: /-info/});
	}
	const theirs = RuntimeInfo.decode((await stage.manager.runtimeInfo({runtimePath: shimOfRelease('2.1')})).value);
	t.regex(theirs.version?.version ?? '', /^2\.1\./);
	t.is(theirs.features?.typeUrl, 'types.containerd.io/opencontainers/runtime-spec/1/features/Features');
	const ours = RuntimeInfo.decode((await stage.manager.runtimeInfo({runtimePath: '', options: optionsOf({binaryName: 'runc'})})).value);
	t.is(ours.name, 'containerd-shim-keelson-v2');
	const features = (info: RuntimeInfo) => JSON.parse(Buffer.from(info.features?.value ?? []).toString()) as object;
	t.deepEqual(features(ours), features(theirs));
	t.is(ours.options?.typeUrl, 'containerd.runc.v1.Options');
});

test('a hand-made shim of containerd 2.3 gets parameters, and answers in bytes', async t => {
	await using stage = await ShimStage.open({options: optionsOf({binaryName: 'runc'})});
	const {binary, told} = await writeBootstrapShim(stage.directory);
	const containerId = await stage.container(['/bin/sh', '-c', 'echo hello; exit 7'], {record: {runtime: {name: binary, options: optionsOf({binaryName: 'runc'})}}});
	t.is((await live(t, stage, containerId)).version, 3);
	t.like(JSON.parse(await readFile(told, 'utf8')), {
		instanceId: containerId, namespace: stage.namespace, containerdGrpcAddress: path.join(stage.directory, 'daemon.sock'),
		containerdTtrpcAddress: path.join(stage.directory, 'daemon.sock.ttrpc'), containerdBinary: '/bin/true', extensions: ['containerd.runc.v1.Options'],
	});
});

test('a hand-made shim that takes parameters for options is started in the older way, with and without options', async t => {
	await using stage = await ShimStage.open();
	const binary = await writeStrictShim(stage.directory);
	for (const options of [optionsOf({binaryName: 'runc'}), undefined]) {
		const runtime = {name: binary, ...(options === undefined ? {} : {options})};
		const containerId = await stage.container(['/bin/sh', '-c', 'echo hello; exit 7'], {record: {runtime}});
		t.is((await live(t, stage, containerId)).version, 2);
	}
});

test('a shim that cannot start says why, each way it was asked', async t => {
	await using stage = await ShimStage.open();
	const containerId = await stage.container(['/bin/true'], {record: {runtime: {name: '/bin/false'}}});
	await t.throwsAsync(stage.manager.tasks(stage.namespace).create({...none, containerId}), {code: 'UNKNOWN', message: 'failed to start shim: false: exit status 1'});
	const silent = await stage.container(['/bin/true'], {record: {runtime: {name: '/bin/true'}}});
	await t.throwsAsync(stage.manager.tasks(stage.namespace).create({...none, containerId: silent}), {code: 'INTERNAL', message: /the shim printed "", expected the address/});
	t.deepEqual([...await stage.leftovers(containerId), ...await stage.leftovers(silent)], []);
});
