import {chmod, copyFile, readFile, rename, writeFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import path from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../lib/ttrpc/typed-service.ts';
import type {ShimTaskManager} from '../../plugins/shim/manager/manager.ts';
import {taskV3} from '../../plugins/shim/protocol/task-definition.ts';
import {until} from '../helpers/until.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const older = path.join(import.meta.dirname, '../fixtures/older-shim/run.cjs');
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;
const init = (containerId: string): {containerId: string; execId: string} => ({containerId, execId: ''});

/** The launcher of that age, in the place where the daemon has its own. */
async function install(stage: ShimStage): Promise<void> {
	const file = `${stage.launcher}.older`;
	await writeFile(file, `#!/bin/sh
for action; do :; done
[ "$action" = start ] || exec '${process.execPath}' '${older}' "$@"
exec 3<&0
answer=$(setsid '${process.execPath}' --disable-sigusr1 '${older}' "$@" <&3 3<&- &)
[ -n "$answer" ] || exit 1
printf '%s' "$answer"
`);
	await chmod(file, 0o755);
	await copyFile(stage.launcher, `${stage.launcher}.newer`);
	await rename(file, stage.launcher);
}

async function upgrade(stage: ShimStage): Promise<void> {
	await rename(`${stage.launcher}.newer`, stage.launcher);
}

async function said(stage: ShimStage, containerId: string): Promise<{version: number; address: string}> {
	return JSON.parse(await readFile(path.join(stage.bundle(containerId), 'bootstrap.json'), 'utf8')) as {version: number; address: string};
}

/** From its start to its end, with an exec and a pause between. */
async function live(t: ExecutionContext, stage: ShimStage, tasks: ReturnType<ShimTaskManager['tasks']>, containerId: string): Promise<void> {
	await tasks.start(init(containerId));
	const stdout = await stage.output();
	const args = ['/bin/sh', '-c', 'echo beside; exit 3'];
	await tasks.exec({...init(containerId), execId: 'e', terminal: false, stdin: '', stdout: stdout.path, stderr: '', spec: {
		typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Process', value: Buffer.from(JSON.stringify({args, cwd: '/', env: ['PATH=/bin'], user: {uid: 0, gid: 0}})),
	}});
	await tasks.start({containerId, execId: 'e'});
	t.is((await tasks.wait({containerId, execId: 'e'})).exitStatus, 3);
	t.is(await stdout.text(), 'beside\n');
	await tasks.deleteProcess({containerId, execId: 'e'});
	await tasks.pause(containerId);
	t.is((await tasks.get(init(containerId))).status, 'paused');
	await tasks.resume(containerId);
	await end(t, stage, tasks, containerId);
}

async function end(t: ExecutionContext, stage: ShimStage, tasks: ReturnType<ShimTaskManager['tasks']>, containerId: string): Promise<void> {
	await tasks.kill(init(containerId), 15, false);
	t.is((await tasks.wait(init(containerId))).exitStatus, 143);
	await tasks.delete(containerId);
	t.deepEqual(await stage.leftovers(containerId), []);
	const exits = (): number => stage.heard(containerId).filter(topic => topic === '/tasks/exit').length;
	await until('the exit to be told', () => exits() > 0);
	t.deepEqual([exits(), stage.exits(containerId).at(-1)], [1, 143]);
}

const terminable = ['/bin/sh', '-c', 'trap "exit 143" TERM; while :; do sleep 0.1; done'];

test('a shim of an older build is driven whole, by what it serves', async t => {
	await using stage = await ShimStage.open();
	await install(stage);
	const tasks = stage.manager.tasks(stage.namespace);
	const containerId = await stage.container(terminable);
	await tasks.create({...none, containerId});
	const {version, address} = await said(stage, containerId);
	t.is(version, 2);
	await using client = await connectTtrpc(address.replace('unix://', ''));
	await t.throwsAsync(ttrpcClientFor(taskV3, client).connect({id: containerId}), {code: 'UNIMPLEMENTED'}, 'it differs from today\'s');
	await live(t, stage, tasks, containerId);
});

test('after an upgrade the shim that runs is driven as it is, and the next container has a new one', async t => {
	await using stage = await ShimStage.open({containersPerShim: 1});
	await install(stage);
	const [staying, orphan] = [await stage.container(terminable), await stage.container(terminable)];
	for (const containerId of [staying, orphan]) {
		await stage.manager.tasks(stage.namespace).create({...none, containerId});
		await stage.manager.tasks(stage.namespace).start(init(containerId));
	}
	await stage.manager[Symbol.asyncDispose]();
	await upgrade(stage);
	await stage.openManager();
	await stage.manager.recovered;
	const tasks = stage.manager.tasks(stage.namespace);
	const next = await stage.container(terminable);
	await tasks.create({...none, containerId: next});
	await live(t, stage, tasks, next);
	await end(t, stage, tasks, staying);
	// What an older shim has left, today's binary cleans up.
	const shim = await stage.shimOf(orphan);
	t.true((await readFile(`/proc/${shim}/cmdline`, 'utf8')).includes(older));
	process.kill(shim, 'SIGKILL');
	await until('its end to be told', () => stage.heard(orphan).includes('/tasks/delete'));
	await until('nothing to be left', async () => (await stage.leftovers(orphan)).length === 0);
	t.is(stage.exits(orphan).length, 1);
});

test('the manager of an older build drives the shim of today', async t => {
	const {ShimTaskManager: OlderManager} = createRequire(import.meta.url)(older) as {ShimTaskManager: typeof ShimTaskManager};
	await using stage = await ShimStage.open({manager: OlderManager});
	const tasks = stage.manager.tasks(stage.namespace);
	const containerId = await stage.container(terminable);
	await tasks.create({...none, containerId});
	await live(t, stage, tasks, containerId);
});
