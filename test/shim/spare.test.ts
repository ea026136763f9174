import {access, readdir, readFile, readlink, rmdir} from 'node:fs/promises';
import path from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {spareSocketPath} from '../../plugins/shim/protocol/spare-service.ts';
import {until} from '../helpers/until.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;

async function running(stage: ShimStage): Promise<string> {
	const containerId = await stage.container(['/bin/sleep', '100']);
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, containerId});
	await tasks.start({containerId, execId: ''});
	return containerId;
}

async function end(stage: ShimStage, containerId: string): Promise<void> {
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.kill({containerId, execId: ''}, 9, false);
	await tasks.wait({containerId, execId: ''});
	await tasks.delete(containerId);
}

async function hasOpen(pid: number, file: string): Promise<boolean> {
	const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
	return (await Promise.all(descriptors.map(async fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))).includes(file);
}

const isAlive = async (pid: number): Promise<boolean> => access(`/proc/${pid}`).then(() => true, () => false);

test('the spare becomes the shim of the first container, and another waits', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true, containersPerShim: 1});
	const spare = await stage.spare();
	const first = await running(stage);
	t.is(await stage.shimOf(first), spare);
	t.regex(await readFile(`/proc/${spare}/environ`, 'utf8'), /KEELSON_RUNTIME_ROOT=/);
	const next = await stage.spare();
	t.not(next, spare);
	const second = await running(stage);
	t.is(await stage.shimOf(second), next);
	for (const id of [first, second]) {
		await end(stage, id);
		t.deepEqual(await stage.leftovers(id), []);
		t.deepEqual(stage.exits(id), [137]);
	}
	await until('the shims to end with their containers', async () => !await isAlive(spare) && !await isAlive(next));
});

test('a container that finds no spare starts without', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true, containersPerShim: 1});
	const spare = await stage.spare();
	const ids = await Promise.all([running(stage), running(stage), running(stage)]);
	const shims = await Promise.all(ids.map(async id => stage.shimOf(id)));
	t.is(new Set(shims).size, 3);
	t.true(shims.includes(spare));
});

test('a spare that is killed is replaced, and one that is stopped holds up a container for moments only', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	const killed = await stage.spare();
	process.kill(killed, 'SIGKILL');
	const stopped = await until('the next spare', async () => await stage.spare() !== killed && stage.spare());
	process.kill(stopped, 'SIGSTOP');
	try {
		const began = performance.now();
		const id = await running(stage);
		t.not(await stage.shimOf(id), stopped);
		t.true(performance.now() - began < 20_000);
	} finally {
		kill(stopped);
	}
});

test('a spare that is stopped keeps nobody from the end of a stream, and is replaced', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	await stage.spare();
	const output = await stage.output();
	const input = await stage.input();
	const containerId = await stage.container(['/bin/sh', '-c', 'read line; echo $line']);
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, containerId, stdin: input.path, stdout: output.path});
	await tasks.start({containerId, execId: ''});
	const stopped = await until('the next spare, with a copy of the end of the stream', async () => {
		const pid = await stage.spare();
		return await hasOpen(pid, output.path) ? pid : undefined;
	});
	process.kill(stopped, 'SIGSTOP');
	try {
		input.write('here\n');
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 0);
		t.is(await output.text(), 'here\n');
		t.not(await until('another spare', async () => await stage.spare() !== stopped && stage.spare()), stopped);
		await tasks.delete(containerId);
		t.deepEqual(await stage.leftovers(containerId), []);
	} finally {
		kill(stopped);
	}
});

/** Ends a process that somebody who made another in its place may have ended. */
function kill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch (error) {
		if (errnoOf(error) !== 'ESRCH') {
			throw error;
		}
	}
}

test('a shim that is to have a cgroup of its own may be made of the spare', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true, options: {
		typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial({shimCgroup: '/keelson-spare-test'})).finish(),
	}});
	t.teardown(async () => {
		for (const controller of await readdir('/sys/fs/cgroup')) {
			await rmdir(`/sys/fs/cgroup/${controller}/keelson-spare-test`).catch(() => undefined);
		}
	});
	const spare = await stage.spare();
	const id = await running(stage);
	t.is(await stage.shimOf(id), spare);
	t.regex(await readFile(`/proc/${spare}/cgroup`, 'utf8'), /:pids:\/keelson-spare-test\n/);
});

test('the spare goes with the daemon that stops, and after one that is killed', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	const spare = await stage.spare();
	await stage.manager[Symbol.asyncDispose]();
	await until('the spare to go', async () => !await isAlive(spare));
	await t.throwsAsync(access(spareSocketPath(path.join(stage.directory, 'daemon.sock'))));
});
