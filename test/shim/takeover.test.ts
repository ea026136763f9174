import {access, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import {FifoReader} from '../helpers/fifo-reader.ts';
import {pidfdsOf} from '../helpers/pidfds.ts';
import {until} from '../helpers/until.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;
const init = (containerId: string): {containerId: string; execId: string} => ({containerId, execId: ''});

async function running(stage: ShimStage, args = ['/bin/sleep', '100'], stdio: Partial<typeof none> | Record<string, unknown> = {}): Promise<string> {
	const containerId = await stage.container(args, {terminal: stdio['terminal' as never] === true});
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, ...stdio, containerId});
	await tasks.start(init(containerId));
	return containerId;
}

/** Resolves when the spare holds something of each container. */
async function held(stage: ShimStage, ...ids: readonly string[]): Promise<void> {
	const pids = await Promise.all(ids.map(async id => (await stage.manager.tasks(stage.namespace).get(init(id))).pid));
	const spare = await stage.spare();
	await until('the spare to hold what it must', async () => {
		const fds = await pidfdsOf(spare);
		return pids.every(pid => fds.has(pid));
	});
}

async function endOf(t: ExecutionContext, stage: ShimStage, id: string, exits: readonly number[]): Promise<void> {
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.delete(id);
	await until('the delete to be told', () => stage.heard(id).includes('/tasks/delete'));
	t.deepEqual(stage.exits(id), exits);
	t.deepEqual(await stage.leftovers(id), []);
}

test('containers of a shim that is killed go on in the spare, with their execs, and end as they do', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	const tasks = stage.manager.tasks(stage.namespace);
	await stage.spare();
	const [one, two] = [await running(stage), await running(stage, ['/bin/sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 7'])];
	const created = await stage.container(['/bin/sh', '-c', 'exit 3']);
	await tasks.create({...none, containerId: created});
	const exec = {containerId: one, execId: 'beside'};
	const spec = (args: readonly string[]): {typeUrl: string; value: Buffer} => ({typeUrl: '', value: Buffer.from(JSON.stringify({args, cwd: '/', env: ['PATH=/bin'], user: {uid: 0, gid: 0}}))});
	await tasks.exec({...none, ...exec, spec: spec(['/bin/sh', '-c', 'while [ ! -e /tmp/exec ]; do sleep 0.05; done; exit 9'])});
	await tasks.start(exec);
	const ended = tasks.wait(exec);
	await held(stage, one, two, created);
	const spare = await stage.spare();
	process.kill(await stage.shimOf(one), 'SIGKILL');
	await until('the spare to have taken over', async () => await stage.shimOf(one).catch(() => 0) === spare);
	t.is((await tasks.get(init(one))).status, 'running');
	t.is((await tasks.get(init(two))).status, 'running');
	t.is((await tasks.get(init(created))).status, 'created');
	t.is((await tasks.get(exec)).status, 'running');
	await tasks.start(init(created));
	t.is((await tasks.wait(init(created))).exitStatus, 3);

	await writeFile(path.join(stage.rootfs(one), 'tmp/exec'), '');
	t.is((await ended).exitStatus, 9);
	await tasks.deleteProcess(exec);
	await tasks.exec({...none, ...exec, spec: spec(['/bin/sh', '-c', 'exit 4'])});
	await tasks.start(exec);
	t.is((await tasks.wait(exec)).exitStatus, 4);
	await tasks.pause(one);
	t.is((await tasks.get(init(one))).status, 'paused');
	await tasks.resume(one);
	await writeFile(path.join(stage.rootfs(two), 'tmp/go'), '');
	t.is((await tasks.wait(init(two))).exitStatus, 7);
	await tasks.kill(init(one), 15, false);
	await tasks.kill(init(one), 9, false);
	t.is((await tasks.wait(init(one))).exitStatus, 137);
	await endOf(t, stage, one, [9, 4, 137]);
	await endOf(t, stage, two, [7]);
	await endOf(t, stage, created, [3]);
	t.deepEqual(stage.heard(two), ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
	t.is(stage.heard(one).filter(topic => topic === '/tasks/exit beside').length, 2);
});

test('output, errors, input and terminals go on where they were', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	const tasks = stage.manager.tasks(stage.namespace);
	await stage.spare();
	const [stdin, stdout, stderr, screen, keys] = [await stage.input(), await stage.output(), await stage.output(), await stage.output(), await stage.input()];
	const echo = await running(stage, ['/bin/sh', '-c', 'while read line; do echo "$line"; echo "$line" >&2; done; exit 5'], {stdin: stdin.path, stdout: stdout.path, stderr: stderr.path});
	const terminal = await running(stage, ['/bin/sh'], {stdin: keys.path, stdout: screen.path, terminal: true});
	stdin.write('before\n');
	keys.write('echo be""fore\n');
	await held(stage, echo, terminal);
	const spare = await stage.spare();
	process.kill(await stage.shimOf(echo), 'SIGKILL');
	stdin.write('during\n');
	await until('the spare to have taken over', async () => await stage.shimOf(echo).catch(() => 0) === spare);
	stdin.write('after\n');
	stdin.end();
	await tasks.closeIo(init(echo), true);
	t.is((await tasks.wait(init(echo))).exitStatus, 5);
	t.is(await stdout.text(), 'before\nduring\nafter\n');
	t.is(await stderr.text(), 'before\nduring\nafter\n');
	await tasks.resizePty(init(terminal), {width: 91, height: 33});
	keys.write('stty size; exit 6\n');
	t.is((await tasks.wait(init(terminal))).exitStatus, 6);
	t.regex(await screen.text(), /before[^]*33 91/);
	await endOf(t, stage, echo, [5]);
	await endOf(t, stage, terminal, [6]);
});

/** Prints a line for each SIGUSR1, and ends with the third. */
const counting = ['/bin/sh', '-c', 'i=0; trap \'i=$((i+1)); echo "line $i"; echo "error $i" >&2; [ $i -lt 3 ] || exit 7\' USR1; echo ready; while :; do sleep 0.05; done'];
const SIGUSR1 = 10;

for (const mode of ['copied', 'buffered'] as const) {
	test(`streams that are ${mode} go on in the spare, in order`, async t => {
		await using stage = await ShimStage.open({hasWarmSpare: true, stdio: mode});
		const tasks = stage.manager.tasks(stage.namespace);
		await stage.spare();
		const fifos = [stage.fifo(), stage.fifo()] as const;
		using stdout = new FifoReader(fifos[0]);
		using stderr = new FifoReader(fifos[1]);
		const id = await running(stage, counting, {stdout: fifos[0], stderr: fifos[1]});
		await until('it to be ready', () => stdout.read().includes('ready'));
		await tasks.kill(init(id), SIGUSR1, false);
		await until('the first line', () => stdout.read().includes('line 1') && stderr.read().includes('error 1'));
		await held(stage, id);
		const spare = await stage.spare();
		process.kill(await stage.shimOf(id), 'SIGKILL');
		await tasks.kill(init(id), SIGUSR1, false);
		await until('the second line', () => stdout.read().includes('line 2') && stderr.read().includes('error 2'));
		t.is(await stage.shimOf(id), spare);
		await tasks.kill(init(id), SIGUSR1, false);
		t.is((await tasks.wait(init(id))).exitStatus, 7);
		await until('the end of both', () => {
			stdout.read();
			stderr.read();
			return stdout.isAtEnd && stderr.isAtEnd;
		});
		t.deepEqual([stdout.text, stderr.text], ['ready\nline 1\nline 2\nline 3\n', 'error 1\nerror 2\nerror 3\n']);
		await endOf(t, stage, id, [7]);
	});
}

test('a logging program goes on when the shim that started it is killed', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	const tasks = stage.manager.tasks(stage.namespace);
	const [logger, copy, starts] = ['logger', 'copy', 'starts'].map(name => path.join(stage.directory, name)) as [string, string, string];
	await writeFile(logger, `#!/bin/sh\necho started >>${starts}\nexec 5>&-\n{ cat <&3; echo end of output; } >${copy} &\ncat <&4 >${copy}.errors\nwait\n`, {mode: 0o755});
	await stage.spare();
	const id = await running(stage, counting, {stdout: `binary://${logger}`, stderr: `binary://${logger}`});
	const shows = async (line: string): Promise<void> => {
		await until(line, async () => (await readFile(copy, 'utf8').catch(() => '')).includes(line));
	};
	await shows('ready');
	await tasks.kill(init(id), SIGUSR1, false);
	await shows('line 1');
	await held(stage, id);
	const spare = await stage.spare();
	process.kill(await stage.shimOf(id), 'SIGKILL');
	await tasks.kill(init(id), SIGUSR1, false);
	await shows('line 2');
	t.is(await stage.shimOf(id), spare);
	await tasks.kill(init(id), SIGUSR1, false);
	t.is((await tasks.wait(init(id))).exitStatus, 7);
	await shows('end of output');
	t.is(await readFile(copy, 'utf8'), 'ready\nline 1\nline 2\nline 3\nend of output\n');
	await until('the errors', async () => await readFile(`${copy}.errors`, 'utf8') === 'error 1\nerror 2\nerror 3\n');
	t.is(await readFile(starts, 'utf8'), 'started\n');
	await endOf(t, stage, id, [7]);
});

test('several shims that are killed at once are all taken over, and what was held of them goes from spare to spare', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true, containersPerShim: 1});
	const tasks = stage.manager.tasks(stage.namespace);
	await stage.spare();
	const ids = [await running(stage), await running(stage), await running(stage)];
	const spare = await until('a spare that waits', async () => stage.spare());
	t.truthy(spare);
	await held(stage, ...ids);
	const shims = await Promise.all(ids.map(async id => stage.shimOf(id)));
	const pids = await Promise.all(ids.map(async id => (await tasks.get(init(id))).pid));
	shims.forEach(pid => process.kill(pid, 'SIGKILL'));
	// And their containers: what they ended with can be known by what was held of them alone.
	pids.forEach(pid => process.kill(pid, 'SIGKILL'));
	for (const id of ids) {
		t.is((await tasks.wait(init(id))).exitStatus, 137);
	}
	for (const id of ids) {
		await endOf(t, stage, id, [137]);
	}
});

test('of a group that shares a shim, each container goes on in the spare', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true, containersPerShim: 1});
	const tasks = stage.manager.tasks(stage.namespace);
	const ids: string[] = [];
	for (let made = 0; made < 2; made++) {
		await stage.spare();
		const containerId = await stage.container(['/bin/sleep', '100'], {annotations: {'io.containerd.runc.v2.group': 'pod'}});
		await tasks.create({...none, containerId});
		await tasks.start(init(containerId));
		ids.push(containerId);
	}
	await held(stage, ...ids);
	const [first = ''] = ids;
	const spare = await stage.spare();
	process.kill(await stage.shimOf(first), 'SIGKILL');
	await until('the spare to have taken over', async () => await stage.shimOf(first).catch(() => 0) === spare);
	for (const id of ids) {
		t.is((await tasks.get(init(id))).status, 'running');
		t.is(await stage.shimOf(id), spare);
		await tasks.kill(init(id), 9, false);
		t.is((await tasks.wait(init(id))).exitStatus, 137);
		await endOf(t, stage, id, [137]);
	}
});

test('a container that a checkpoint is still to be restored as goes on in the spare', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	const tasks = stage.manager.tasks(stage.namespace);
	const spare = await stage.spare();
	const id = await stage.container(['/bin/sleep', '100']);
	const image = path.join(stage.directory, 'no-image');
	await tasks.create({...none, containerId: id, options: {typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial({criuImagePath: image})).finish()}});
	const next = await until('the next spare', async () => {
		const pid = await stage.spare();
		return pid === spare ? undefined : pid;
	});
	process.kill(await stage.shimOf(id), 'SIGKILL');
	await until('the spare to have taken over', async () => await stage.shimOf(id).catch(() => 0) === next);
	t.like(await tasks.get(init(id)), {status: 'created', pid: 0});
	// It is asked to restore what it was created from, which is not there.
	await t.throwsAsync(tasks.start(init(id)), {message: /restore failed|no-image|criu/v});
	t.is((await tasks.get(init(id))).status, 'created');
	await endOf(t, stage, id, []);
	t.deepEqual(stage.heard(id), ['/tasks/create', '/tasks/delete']);
});

test('a shim that nobody takes the place of leaves no socket, with containers and without', async t => {
	await using stage = await ShimStage.open({spareSeconds: 60});
	const tasks = stage.manager.tasks(stage.namespace);
	const id = await running(stage);
	const [shim, socket] = [await stage.shimOf(id), await stage.socketOf(id)];
	process.kill(shim, 'SIGKILL');
	await tasks.wait(init(id));
	await until('the task to be taken away', async () => (await tasks.list()).length === 0);
	await t.throwsAsync(access(socket), {code: 'ENOENT'});
	const next = await running(stage);
	const [idle, idleSocket] = [await stage.shimOf(next), await stage.socketOf(next)];
	await tasks.kill(init(next), 9, false);
	await tasks.wait(init(next));
	await tasks.delete(next);
	process.kill(idle, 'SIGKILL');
	await until('its socket to be gone', async () => access(idleSocket).then(() => false, () => true));
});

test('a shim that died while the daemon was dead is found, and taken over by the spare that waited', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	await stage.spare();
	const [goes, stays] = [await running(stage, ['/bin/sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 21']), await running(stage)];
	await held(stage, goes, stays);
	const [shim, spare] = [await stage.shimOf(goes), await stage.spare()];
	await stage.manager[Symbol.asyncDispose]();
	process.kill(shim, 'SIGKILL');
	await writeFile(path.join(stage.rootfs(goes), 'tmp/go'), '');
	const pid = Number(await readFile(path.join(stage.bundle(goes), 'init.pid'), 'utf8'));
	await until('the container to end', async () => access(`/proc/${pid}`).then(() => false, () => true));
	t.is(await stage.spare(), spare);
	await stage.openManager();
	await stage.manager.recovered;
	const tasks = stage.manager.tasks(stage.namespace);
	t.is(await stage.shimOf(stays), spare);
	t.is((await tasks.get(init(stays))).status, 'running');
	t.is((await tasks.wait(init(goes))).exitStatus, 21);
	await tasks.kill(init(stays), 9, false);
	t.is((await tasks.wait(init(stays))).exitStatus, 137);
	await endOf(t, stage, goes, [21]);
	await endOf(t, stage, stays, [137]);
});

test('where daemon, shim and spare all died, what runs goes on, and what has ended is reported once, as unknown', async t => {
	await using stage = await ShimStage.open({hasWarmSpare: true});
	await stage.spare();
	const [goes, stays] = [await running(stage, ['/bin/sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 21']), await running(stage)];
	await held(stage, goes, stays);
	const [shim, spare] = [await stage.shimOf(goes), await stage.spare()];
	await stage.manager[Symbol.asyncDispose]();
	process.kill(spare, 'SIGKILL');
	process.kill(shim, 'SIGKILL');
	await writeFile(path.join(stage.rootfs(goes), 'tmp/go'), '');
	const pid = Number(await readFile(path.join(stage.bundle(goes), 'init.pid'), 'utf8'));
	await until('the container to end', async () => access(`/proc/${pid}`).then(() => false, () => true));
	await stage.openManager();
	await stage.manager.recovered;
	const tasks = stage.manager.tasks(stage.namespace);
	t.is((await tasks.get(init(stays))).status, 'running');
	t.is((await tasks.wait(init(goes))).exitStatus, 255);
	await until('it to be said', () => stage.lines.some(line => line.includes(`process ${pid} has ended while nobody was there to see it`)));
	await tasks.kill(init(stays), 9, false);
	t.is((await tasks.wait(init(stays))).exitStatus, 137);
	await endOf(t, stage, goes, [255]);
	await endOf(t, stage, stays, [137]);
});
