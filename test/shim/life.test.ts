import {readFile, readdir, readlink, rmdir, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setImmediate} from 'node:timers/promises';
import anyTest, {type TestFn} from 'ava';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import {until} from '../helpers/until.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;
const init = (containerId: string): {containerId: string; execId: string} => ({containerId, execId: ''});

async function running(stage: ShimStage, args = ['/bin/sleep', '100']): Promise<string> {
	const containerId = await stage.container(args);
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, containerId});
	await tasks.start(init(containerId));
	return containerId;
}

test('containers of a namespace share one shim, and an empty one is kept for the next', async t => {
	await using stage = await ShimStage.open({spareSeconds: 60});
	const tasks = stage.manager.tasks(stage.namespace);
	const ids = await Promise.all([running(stage), running(stage), running(stage)]);
	const pids = await Promise.all(ids.map(async id => stage.shimOf(id)));
	t.is(new Set(pids).size, 1);
	for (const id of ids) {
		await tasks.kill(init(id), 9, false);
		await tasks.wait(init(id));
		await tasks.delete(id);
	}
	const next = await running(stage);
	t.is(await stage.shimOf(next), pids[0] ?? 0);
});

test('with one container a shim each has its own, which ends with it', async t => {
	await using stage = await ShimStage.open({containersPerShim: 1});
	const tasks = stage.manager.tasks(stage.namespace);
	const [first, second] = await Promise.all([running(stage), running(stage)]);
	const pids = await Promise.all([first, second].map(async id => stage.shimOf(id)));
	t.is(new Set(pids).size, 2);
	const {address} = JSON.parse(await readFile(path.join(stage.bundle(first), 'bootstrap.json'), 'utf8')) as {address: string};
	await tasks.kill(init(first), 9, false);
	await tasks.wait(init(first));
	await tasks.delete(first);
	await until('the shim to end', async () => !(await stage.shims()).includes(pids[0] ?? 0));
	t.false((await readdir('/run/containerd/s')).includes(path.basename(address)));
});

test('a bundle is complete', async t => {
	await using stage = await ShimStage.open();
	const id = await running(stage);
	const names = await readdir(stage.bundle(id));
	for (const name of ['address', 'bootstrap.json', 'config.json', 'init.pid', 'log', 'options.json', 'rootfs', 'runtime', 'shim-binary-path', 'work']) {
		t.true(names.includes(name), name);
	}
	t.is(await readFile(path.join(stage.bundle(id), 'shim-binary-path'), 'utf8'), stage.launcher);
	t.regex(await readlink(path.join(stage.bundle(id), 'work')), /root\/io\.containerd\.runtime\.v2\.task\//);
	const spec = JSON.parse(await readFile(path.join(stage.bundle(id), 'config.json'), 'utf8')) as {linux: {namespaces: {type: string; path?: string}[]}};
	t.is(spec.linux.namespaces.find(({type}) => type === 'network')?.path, path.join(stage.directory, 'netns', `${stage.namespace}-${id}`));
});

test('containers go on without the daemon, and the next one knows them', async t => {
	await using stage = await ShimStage.open();
	const [staying, leaving] = [await running(stage), await running(stage, ['/bin/sh', '-c', 'sleep 1; exit 5'])];
	await stage.manager[Symbol.asyncDispose]();
	await until('the second to end', async () => {
		const pid = await readFile(path.join(stage.bundle(leaving), 'init.pid'), 'utf8');
		return readFile(`/proc/${pid}/cmdline`).then(() => false, () => true);
	});
	await stage.openManager();
	await stage.manager.recovered;
	const tasks = stage.manager.tasks(stage.namespace);
	t.is((await tasks.get(init(staying))).status, 'running');
	t.like(await tasks.get(init(leaving)), {status: 'stopped', exitStatus: 5});
	t.is((await tasks.wait(init(leaving))).exitStatus, 5);
	await until('the exit to be told', () => stage.exits(leaving).length > 0);
	t.deepEqual(stage.exits(leaving), [5]);
	await tasks.delete(leaving);
	await tasks.kill(init(staying), 9, false);
	t.is((await tasks.wait(init(staying))).exitStatus, 137);
	await tasks.delete(staying);
	t.deepEqual(await stage.leftovers(staying), []);
	t.deepEqual(stage.exits(staying), [137]);
});

test('a shim that is killed takes its containers with it, and that is told once', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const ids = [await running(stage), await running(stage)];
	const waiting = ids.map(async id => tasks.wait(init(id)));
	process.kill(await stage.shimOf(ids[0] ?? ''), 'SIGKILL');
	t.deepEqual((await Promise.all(waiting)).map(({exitStatus}) => exitStatus), [255, 255]);
	for (const id of ids) {
		await until(`${id} to be deleted`, () => stage.heard(id).includes('/tasks/delete'));
		await until(`nothing of ${id} to be left`, async () => (await stage.leftovers(id)).length === 0);
		t.deepEqual(stage.heard(id), ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
		t.deepEqual(stage.exits(id), [255]);
	}
	t.deepEqual(await tasks.list(), []);
});

test('a shim that died with the daemon is found out at its start', async t => {
	await using stage = await ShimStage.open();
	const id = await running(stage);
	const ended = await running(stage, ['/bin/sh', '-c', 'exit 9']);
	await until('the second to end', async () => readdir(stage.bundle(ended)).then(names => names.includes('init.exit.told')));
	const shim = await stage.shimOf(id);
	await stage.manager[Symbol.asyncDispose]();
	process.kill(shim, 'SIGKILL');
	await stage.openManager();
	await stage.manager.recovered;
	t.deepEqual(await stage.manager.tasks(stage.namespace).list(), []);
	t.deepEqual(await stage.leftovers(id), []);
	t.deepEqual(stage.exits(id), [255]);
	// It was told by the shim, and is not told again.
	t.deepEqual(stage.exits(ended), [9]);
});

test('a shim that hangs is shown as unknown and holds up nobody', async t => {
	await using stage = await ShimStage.open({containersPerShim: 1, timeouts: {'io.containerd.timeout.shim.load': '5s'}});
	const [hung, fine] = [await running(stage), await running(stage)];
	const shim = await stage.shimOf(hung);
	await stage.manager[Symbol.asyncDispose]();
	process.kill(shim, 'SIGSTOP');
	try {
		await stage.openManager();
		let isRecovered = false;
		const recovering = stage.manager.recovered.then(() => {
			isRecovered = true;
		});
		await setImmediate();
		t.false(isRecovered, 'it has not been waited for');
		const tasks = stage.manager.tasks(stage.namespace);
		await recovering;
		const statuses = new Map((await tasks.list()).map(({containerId, status}) => [containerId, status]));
		t.is(statuses.get(hung), 'unknown');
		t.is(statuses.get(fine), 'running');
	} finally {
		process.kill(shim, 'SIGCONT');
	}
});

test('tasks of many shims are asked at once: three that hang cost the time of one', async t => {
	await using stage = await ShimStage.open({containersPerShim: 1, timeouts: {'io.containerd.timeout.task.state': '1s'}});
	const ids = [await running(stage), await running(stage), await running(stage)];
	const shims = await Promise.all(ids.map(async id => stage.shimOf(id)));
	for (const shim of shims) {
		process.kill(shim, 'SIGSTOP');
	}
	try {
		const began = performance.now();
		const infos = await stage.manager.tasks(stage.namespace).list();
		t.deepEqual(infos.map(({status}) => status), ['unknown', 'unknown', 'unknown']);
		t.true(performance.now() - began < 2000, `${Math.round(performance.now() - began)} ms`);
	} finally {
		for (const shim of shims) {
			process.kill(shim, 'SIGCONT');
		}
	}
});

test('a create that fails at the network leaves nothing', async t => {
	const calls: string[] = [];
	await using stage = await ShimStage.open({networks: new Map([
		['a', {attach: async () => ({interfaces: []}), detach: async () => void calls.push('detach a')}],
		['b', {attach: async () => Promise.reject(new Error('no address is left')), detach: async () => void calls.push('detach b')}],
	])});
	const containerId = await stage.container(['/bin/true']);
	await t.throwsAsync(stage.manager.tasks(stage.namespace).create({...none, containerId}), {message: 'failed to attach network b: no address is left'});
	t.deepEqual(calls, ['detach b', 'detach a']);
	t.deepEqual(await stage.leftovers(containerId), []);
});

test('lo is up in the pinned namespace', async t => {
	await using stage = await ShimStage.open();
	const containerId = await stage.container(['/bin/sh', '-c', 'ip -o link show lo']);
	const stdout = await stage.output();
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, containerId, stdout: stdout.path});
	await tasks.start(init(containerId));
	await tasks.wait(init(containerId));
	t.regex(await stdout.text(), /lo: <LOOPBACK,UP/);
	await tasks.delete(containerId);
});

test('an unknown runtime is named', async t => {
	await using stage = await ShimStage.open();
	const containerId = await stage.container(['/bin/true'], {record: {runtime: {name: 'io.example.nosuch.v2'}}});
	await t.throwsAsync(stage.manager.tasks(stage.namespace).create({...none, containerId}), {code: 'NOT_FOUND', message: /"io\.example\.nosuch\.v2".*"containerd-shim-nosuch-v2"/});
	t.deepEqual(await stage.leftovers(containerId), []);
});

test('a process that the kernel kills for want of memory is told before the end', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const containerId = await stage.container(['/bin/sh', '-c', 'dd if=/dev/zero of=/dev/null bs=200M count=1; exit 1']);
	await tasks.create({...none, containerId});
	await tasks.update(containerId, {
		typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources', value: Buffer.from(JSON.stringify({memory: {limit: 16 * 1024 * 1024}})),
	}, {});
	await tasks.start(init(containerId));
	await tasks.wait(init(containerId));
	await until('the exit to be told', () => stage.heard(containerId).includes('/tasks/exit'));
	t.deepEqual(stage.heard(containerId), ['/tasks/create', '/tasks/start', '/tasks/oom', '/tasks/exit']);
	await tasks.delete(containerId);
	t.deepEqual(await stage.leftovers(containerId), []);
});

test('output goes to a file, or to a program', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const [file, copy, logger] = ['logs/out', 'copy', 'logger'].map(name => path.join(stage.directory, name)) as [string, string, string];
	await writeFile(logger, `#!/bin/sh\nexec 5>&-\n{ cat <&3; echo "$CONTAINER_NAMESPACE/$CONTAINER_ID $1 $2"; } > ${copy}\n`, {mode: 0o755});
	const [first, second] = [await stage.container(['/bin/sh', '-c', 'echo one']), await stage.container(['/bin/sh', '-c', 'echo two'])];
	for (const [containerId, uri] of [[first, `file://${file}`], [second, `binary://${logger}?key=value`]] as const) {
		await tasks.create({...none, containerId, stdout: uri, stderr: uri});
		await tasks.start(init(containerId));
		await tasks.wait(init(containerId));
		await tasks.delete(containerId);
	}
	t.is(await readFile(file, 'utf8'), 'one\n');
	t.is((await stat(file)).mode & 0o777, 0o644);
	t.is(await readFile(copy, 'utf8'), `two\n${stage.namespace}/${second} key value\n`);
});

test('a shim that is to have a cgroup of its own is alone in it', async t => {
	await using stage = await ShimStage.open({options: {
		typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial({shimCgroup: '/keelson-shim-test', binaryName: 'runc'})).finish(),
	}});
	t.teardown(async () => {
		for (const controller of await readdir('/sys/fs/cgroup')) {
			await rmdir(`/sys/fs/cgroup/${controller}/keelson-shim-test`).catch(() => undefined);
		}
	});
	const [first, second] = [await running(stage), await running(stage)];
	const [one, two] = [await stage.shimOf(first), await stage.shimOf(second)];
	t.not(one, two);
	t.regex(await readFile(`/proc/${one}/cgroup`, 'utf8'), /:pids:\/keelson-shim-test\n/);
	t.deepEqual(JSON.parse(await readFile(path.join(stage.bundle(first), 'options.json'), 'utf8')), {binary_name: 'runc', shim_cgroup: '/keelson-shim-test'});
});

test('a container that has ended leaves the runtime at once, but with hooks for that when its task is deleted', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const states = async (): Promise<string[]> => readdir(path.join(stage.directory, 'runc', stage.namespace));
	const plain = await running(stage, ['/bin/true']);
	await tasks.wait(init(plain));
	await until('the runtime to forget it', async () => !(await states()).includes(plain));
	t.like(await tasks.get(init(plain)), {status: 'stopped', exitStatus: 0});
	t.is((await tasks.delete(plain)).exitStatus, 0);

	const told = path.join(stage.directory, 'poststop');
	const hooked = await stage.container(['/bin/true'], {hooks: {poststop: [{path: '/bin/sh', args: ['sh', '-c', `cat > ${told}`]}]}});
	await tasks.create({...none, containerId: hooked});
	await tasks.start(init(hooked));
	await tasks.wait(init(hooked));
	const later = await running(stage, ['/bin/true']);
	await tasks.wait(init(later));
	await until('the runtime to forget the one that came later', async () => !(await states()).includes(later));
	t.true((await states()).includes(hooked));
	await t.throwsAsync(readFile(told), {code: 'ENOENT'});
	await tasks.delete(hooked);
	t.like(JSON.parse(await readFile(told, 'utf8')), {id: hooked, status: 'stopped'});
	await tasks.delete(later);
});
