import {randomBytes} from 'node:crypto';
import {readdir, readFile, rm} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Metrics} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import {Status} from '../../api/gen/types/task/task.ts';
import {succeed} from '../helpers/command.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {clientOf, createContainer, createTask, remove} from '../helpers/task-client.ts';
import {tracesOf} from '../helpers/traces.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('machine', {pairs: 'each'});

scenario('many execs at once, with and without a terminal, each have their own output and exit status', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	await Promise.all(Array.from({length: 10}, async (_, at) => {
		if (at % 3 === 0) {
			await using terminal = ctr.terminal('tasks', 'exec', '-t', '--exec-id', `e${at}`, 'host', 'sh', '-c', `test -t 0 && echo terminal ${at}; exit ${at}`);
			t.is(await terminal.exit(), at);
			await terminal.shows(new RegExp(`terminal ${at}`, 'v'));
			return;
		}
		const heard = await ctr.hears('tasks', 'exec', '--exec-id', `e${at}`, 'host', 'sh', '-c', `echo out ${at}; echo err ${at} >&2; read line; exit ${at}`);
		t.deepEqual(heard, {stdout: `out ${at}\n`, stderr: `err ${at}\n`, code: at});
	}));
	await until('init to be alone', async () => (await ctr.rows('tasks', 'ps', 'host')).length === 1);
	await remove(ctr, 'host');
});

scenario('whoever waits is told the same, at whatever time', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	await createContainer(client, ctr, images.busybox, {id: 'awaited', args: ['sh', '-c', 'sleep 0.3; exit 42']});
	await createTask(client, 'awaited');
	const early = Array.from({length: 30}, async () => tasks.wait({containerId: 'awaited'}));
	await tasks.start({containerId: 'awaited'});
	const running = Array.from({length: 30}, async () => tasks.wait({containerId: 'awaited'}));
	const told = await Promise.all([...early, ...running]);
	told.push(await tasks.wait({containerId: 'awaited'}));
	t.deepEqual(new Set(told.map(({exitStatus}) => exitStatus)), new Set([42]));
	t.is(new Set(told.map(({exitedAt}) => `${exitedAt?.seconds}.${exitedAt?.nanos}`)).size, 1);
	const deleted = await tasks.delete({containerId: 'awaited'});
	t.is(deleted.exitStatus, 42);
	await remove(ctr, 'awaited');
});

scenario('a task can be deleted when it is stopped, created, or could not be started', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	await createContainer(client, ctr, images.busybox, {id: 'one', args: ['sleep', '60']});
	await createTask(client, 'one');
	await tasks.delete({containerId: 'one'});
	await createTask(client, 'one');
	await tasks.kill({containerId: 'one', signal: 9});
	t.is((await tasks.wait({containerId: 'one'})).exitStatus, 137);
	t.is((await tasks.get({containerId: 'one'})).process?.status, Status.STOPPED);
	t.is((await tasks.delete({containerId: 'one'})).exitStatus, 137);
	// A hook that fails at start ends init before the program begins.
	await createContainer(client, ctr, images.busybox, {id: 'two', args: ['sleep', '60'], change: spec => {
		spec.hooks = {startContainer: [{path: '/bin/false'}]};
	}});
	await createTask(client, 'two');
	await tasks.start({containerId: 'two'});
	t.not((await tasks.wait({containerId: 'two'})).exitStatus, 0);
	t.not((await tasks.delete({containerId: 'two'})).exitStatus, 0);
	for (const [containerId, args] of [['three', ['nosuch']], ['four', ['/dev/null']]] as const) {
		await createContainer(client, ctr, images.busybox, {id: containerId, args});
		await t.throwsAsync(createTask(client, containerId), {message: /failed to create shim task: OCI runtime create failed/v});
		await t.throwsAsync(tasks.get({containerId}), {message: /not found/v});
		await t.throwsAsync(tasks.delete({containerId}), {message: /not found/v});
	}
	await remove(ctr, 'one', 'two', 'three', 'four');
});

scenario('limits change while it runs', async ({t, ctr, images, daemon}) => {
	await ctr.ok('run', '-d', images.busybox, 'bounded', 'sleep', '60');
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	const limit = async (resources: object): Promise<unknown> => tasks.update({
		containerId: 'bounded', resources: {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources', value: Buffer.from(JSON.stringify(resources))},
	});
	await limit({memory: {limit: 40 * 1024 * 1024}, cpu: {shares: 512, quota: 30_000, period: 100_000}, pids: {limit: 33}});
	const value = async (controller: string, file: string): Promise<string> => (await readFile(`/sys/fs/cgroup/${controller}/${ctr.namespace}/bounded/${file}`, 'utf8')).trim();
	t.deepEqual(await Promise.all([
		value('memory', 'memory.limit_in_bytes'), value('cpu', 'cpu.shares'), value('cpu', 'cpu.cfs_quota_us'), value('pids', 'pids.max'),
	]), [String(40 * 1024 * 1024), '512', '30000', '33']);
	const {metrics} = await tasks.metrics({filters: ['id==bounded']});
	const counted = Metrics.decode(metrics[0]?.data?.value ?? new Uint8Array(0));
	t.is(counted.pids?.limit, 33n);
	t.is(counted.memory?.usage?.limit, BigInt(40 * 1024 * 1024));
	await t.throwsAsync(limit({memory: {limit: 1}}), {message: /unable to set memory limit/v});
	t.is((await tasks.get({containerId: 'bounded'})).process?.status, Status.RUNNING);
	await remove(ctr, 'bounded');
});

scenario('metrics name what containerd names, and count what is done', async ({t, ctr, images, daemon, same}) => {
	await ctr.ok('run', '-d', images.busybox, 'busy', 'sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; dd if=/dev/zero of=/dev/shm/file bs=1M count=5; sleep 60');
	using client = clientOf(daemon, ctr);
	const counted = await until('the work to be done', async () => {
		const {metrics} = await client.services.tasks.metrics({filters: ['id==busy']});
		t.is(metrics[0]?.data?.typeUrl, 'io.containerd.cgroups.v1.Metrics');
		const all = Metrics.decode(metrics[0]?.data?.value ?? new Uint8Array(0));
		return (all.memory?.cache ?? 0n) >= 5n * 1024n * 1024n ? all : undefined;
	});
	const parts = (value: object): string[] => Object.entries(value).filter(([, part]) => part !== undefined && !(Array.isArray(part) && part.length === 0)).map(([name]) => name).toSorted();
	// With what the network counts: of the first version containerd leaves it out.
	same('parts', parts(counted));
	same('memory', parts(counted.memory ?? {}));
	same('processors', counted.cpu?.usage?.perCpu.length);
	t.true((counted.cpu?.usage?.total ?? 0n) > 1_000_000n);
	t.true((counted.memory?.usage?.max ?? 0n) >= 5n * 1024n * 1024n);
	t.true((counted.memory?.pgFault ?? 0n) > 0n);
	t.true((counted.pids?.current ?? 0n) >= 1n);
	await remove(ctr, 'busy');
});

scenario('a container that forks faster than it is killed is killed, in pids of its own or the host\'s', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	for (const [id, isShared] of [['own', false], ['shared', true]] as const) {
		// Each child forks the next before it ends, and none can be named in time.
		await createContainer(client, ctr, images.busybox, {id, args: ['sh', '-c', 'trap "" TERM; (while :; do (sleep 0.02 & sleep 0.03 &); done) & while :; do (sleep 0.02 &); done'], change: spec => {
			spec.linux.namespaces = spec.linux.namespaces.filter(({type}) => !(isShared && type === 'pid'));
			spec.linux.resources = {...spec.linux.resources, pids: {limit: 120}};
		}});
		await createTask(client, id);
		await tasks.start({containerId: id});
		await until('it to fork', async () => (await tasks.listPids({containerId: id})).processes.length > 5);
		await tasks.kill({containerId: id, signal: 9, all: true});
		t.is((await tasks.wait({containerId: id})).exitStatus, 137);
		await until('it to be deleted', async () => tasks.delete({containerId: id}).then(() => true, () => false));
		await until('none of it to be left', async () => {
			const {cgroups} = await tracesOf(daemon.scratch, new Set([ctr.namespace]));
			return cgroups.every(directory => !directory.endsWith(`/${id}`));
		});
		await remove(ctr, id);
	}
});

scenario('orphans of a container in the host\'s pids are reaped', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	await createContainer(client, ctr, images.busybox, {id: 'parent', args: ['sh', '-c', 'i=0; while [ $i -lt 30 ]; do (sleep 0.1 &); i=$((i+1)); done; sleep 60'], change: spec => {
		spec.linux.namespaces = spec.linux.namespaces.filter(({type}) => type !== 'pid');
	}});
	const pid = await createTask(client, 'parent');
	await tasks.start({containerId: 'parent'});
	const shim = Number(/^PPid:\s*(?<pid>\d+)$/mv.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.groups?.['pid']);
	await until('the children to end', async () => (await tasks.listPids({containerId: 'parent'})).processes.length <= 2);
	await until('no zombie to be left', async () => (await zombiesOf(shim)).length === 0);
	t.is((await tasks.get({containerId: 'parent'})).process?.status, Status.RUNNING);
	await remove(ctr, 'parent');
});

async function zombiesOf(parent: number): Promise<readonly string[]> {
	const children = (await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8')).split(' ').filter(word => word !== '');
	const states = await Promise.all(children.map(async child => {
		const status = await readFile(`/proc/${child}/stat`, 'utf8').catch(() => '');
		return / Z /v.test(status) ? [child] : [];
	}));
	return states.flat();
}

scenario('a signal to a process that is gone is told, whoever is meant', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	await ctr.ok('tasks', 'exec', '-d', '--exec-id', 'short', 'host', 'true');
	await until('the exec to end', async () => (await tasks.get({containerId: 'host', execId: 'short'})).process?.status === Status.STOPPED);
	await t.throwsAsync(tasks.kill({containerId: 'host', execId: 'short', signal: 15}), {message: /process already finished/v});
	await t.throwsAsync(tasks.kill({containerId: 'host', execId: 'nosuch', signal: 15}), {message: /not found|does not exist|no such/v});
	await tasks.kill({containerId: 'host', signal: 9});
	await tasks.wait({containerId: 'host'});
	await t.throwsAsync(tasks.kill({containerId: 'host', signal: 9}), {message: /process already finished/v});
	await remove(ctr, 'host');
});

scenario('namespaces of another container are shared, and outlive the one who joined', async ({t, ctr, images, daemon}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	const pid = (await ctr.rows('tasks', 'ls'))[0]?.[1];
	const join = ['--with-ns', `pid:/proc/${pid}/ns/pid`, '--with-ns', `ipc:/proc/${pid}/ns/ipc`];
	const seen = await ctr.prints('run', '--rm', ...join, images.busybox, 'guest', 'sh', '-c', 'readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; cat /proc/1/cmdline | tr "\\0" " "');
	t.is(seen, await ctr.prints('tasks', 'exec', '--exec-id', 'look', 'host', 'sh', '-c', 'readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; cat /proc/1/cmdline | tr "\\0" " "'));
	t.regex(seen, /sleep 60 $/v);
	if (daemon.kind === 'keelson') {
		// What the guest leaves behind goes with it; what the host runs does not. containerd 2.1 leaves a cgroup.
		await ctr.ok('run', '-d', ...join, images.busybox, 'second', 'sh', '-c', 'sleep 1000 & sleep 0.2');
		await until('the guest to end', async () => (await ctr.rows('tasks', 'ls')).some(row => row[0] === 'second' && row[2] === 'STOPPED'));
		await until('what it left to go with it', async () => !/sleep 1000/v.test(await ctr.prints('tasks', 'exec', '--exec-id', 'ps', 'host', 'ps')));
		await remove(ctr, 'second');
	}
	await remove(ctr, 'host');
});

scenario('a resize storm and clients that vanish leave a terminal whole', async ({t, ctr, images, daemon}) => {
	// Of a name that nobody else has: clients of other tests make their FIFOs beside these.
	const id = `storm-${randomBytes(4).toString('hex')}`;
	const fifos = async (): Promise<number> => (await readdir('/run/containerd/fifo', {recursive: true})).filter(name => path.basename(name).startsWith(id)).length;
	await using starter = ctr.terminal('run', '-d', '-t', images.busybox, id, 'sh');
	t.is(await starter.exit(), 0);
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	const before = await fifos();
	for (let visit = 0; visit < 3; visit++) {
		// Killed, it cannot say goodbye.
		await using gone = ctr.background('tasks', 'attach', id);
		await sleep(100);
		gone.kill('SIGKILL');
		await Promise.all(Array.from({length: 40}, async (_, at) => tasks.resizePty({containerId: id, width: 80 + at, height: 30 + visit})));
	}
	await tasks.resizePty({containerId: id, width: 91, height: 17});
	await using terminal = ctr.terminal('tasks', 'attach', id);
	terminal.type('echo "size $(stty size)"\r');
	await terminal.shows(/size \d+ \d+/v);
	terminal.type('exit 5\r');
	t.is(await terminal.exit(), 5);
	t.true(await fifos() <= before);
	await ctr.run('tasks', 'rm', id);
	await ctr.ok('containers', 'rm', id);
});

scenario('64 MiB of output come whole and in order', async ({t, ctr, images}) => {
	const digestOf = async (file: string, ...args: readonly string[]): Promise<string> =>
		(await succeed('sh', ['-c', '"$0" "$@" | sha256sum', file, ...args], {timeoutMs: 90_000})).stdout;
	const [theirs, ours] = [await digestOf(ctr.program, ...ctr.arguments(['run', '--rm', images.busybox, 'loud', 'seq', '1', '8600000'])), await digestOf('seq', '1', '8600000')];
	t.is(theirs, ours);
});

scenario('1 GiB of output comes whole and in order', async ({t, ctr, images, daemon}) => {
	const file = path.join(daemon.scratch, 'gibibyte');
	try {
		const script = 'head -c 1G /dev/urandom | tee "$1" | sha256sum; shift; "$@" | sha256sum';
		const words = ctr.arguments(['run', '--rm', '--mount', `type=bind,src=${file},dst=/gibibyte,options=rbind:ro`, images.busybox, 'loud', 'cat', '/gibibyte']);
		const [written, read] = (await succeed('sh', ['-c', script, 'sh', file, ctr.program, ...words], {timeoutMs: 100_000})).stdout.trimEnd().split('\n');
		t.is(read, written);
	} finally {
		await rm(file, {force: true});
	}
}, {only: 'keelson', until: '1.6', pairs: false});
