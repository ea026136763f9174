import {access, readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {Metrics as MetricsV1} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import {Metrics as MetricsV2} from '../../api/gen/cgroups/cgroup2/metrics.ts';
import {ControllerDefinition, StoreDefinition} from '../../api/gen/services/sandbox/v1/sandbox.ts';
import type {Metric} from '../../api/gen/types/metrics.ts';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import {Status} from '../../api/gen/types/task/task.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {containerd} from '../helpers/containerd-program.ts';
import {Daemon} from '../helpers/daemon.ts';
import {keelson} from '../helpers/keelson-program.ts';
import {listening} from '../helpers/listening.ts';
import {Registry} from '../helpers/registry.ts';
import {programsOf, type Release} from '../helpers/releases.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {clientOf, createContainer, createTask, remove} from '../helpers/task-client.ts';
import {until} from '../helpers/until.ts';

const test = anyTest.serial as TestFn;
const theirs = (release: Release) => path.join(programsOf(release), 'containerd-shim-runc-v2');
const parentOf = async (pid: string | undefined): Promise<number> => Number(/^PPid:\s*(?<pid>\d+)$/mv.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.groups?.['pid']);

async function shimOf(namespace: string, id: string): Promise<number> {
	for (const pid of (await readdir('/proc')).filter(name => /^\d+$/v.test(name))) {
		const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
		if (line.includes('containerd-shim-') && line.includes(`\0${namespace}\0`) && line.includes(`\0-id\0${id}\0`)) {
			return Number(pid);
		}
	}

	throw new Error(`no shim of ${id} in ${namespace}`);
}

const isSecond = !(await readFile('/proc/self/cgroup', 'utf8')).split('\n').some(line => /^\d+:\w/v.test(line) && !line.includes(':name='));
const metricsType = `io.containerd.cgroups.v${isSecond ? 2 : 1}.Metrics`;

/** How many processes are counted. */
function countOf(metrics: Metric | undefined): bigint {
	return (isSecond ? MetricsV2 : MetricsV1).decode(metrics?.data?.value ?? new Uint8Array(0)).pids?.current ?? 0n;
}

const targets = [
	{program: keelson(), runtime: 'io.containerd.runc.v2', isOurs: true},
	{program: keelson(), runtime: theirs('1.7'), isOurs: false},
	{program: containerd('2.1', {shim: 'keelson', isPodServer: true}), runtime: 'io.containerd.keelson.v2', isOurs: true},
];

for (const {program, runtime, isOurs} of targets) {
	test(`a sandbox lives, holds a container, and goes [${program.name}, ${isOurs ? 'our shim' : 'runc\'s shim of 1.7'}]`, async t => {
		t.timeout(120_000);
		await using registry = await Registry.start();
		const images = await pushTestImages(registry);
		await using daemon = await Daemon.start(program);
		const ctr = daemon.ctr('2.1', daemon.namespace('sandbox'));
		await ctr.ok('images', 'pull', '--plain-http', images.busybox);
		using client = new Connection({address: daemon.places.address, headers: {'containerd-namespace': ctr.namespace}});
		const [store, controller] = [StoreDefinition, ControllerDefinition];
		const named = {sandboxId: 'sb', sandboxer: 'shim'};
		await using events = await listening(daemon, ctr);
		const told = (topic: string, {stdout} = events) => stdout.includes(` /sandboxes/${topic} `);

		// Their shim wants one; ours does without.
		const spec = isOurs ? undefined : {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: Buffer.from('{}')};
		const sandbox = {sandboxId: 'sb', sandboxer: 'shim', runtime: {name: runtime, options: undefined}, spec, createdAt: undefined, updatedAt: undefined, labels: {a: 'b'}, extensions: {}};
		await client.unary(store.fullName, store.methods.create, {sandbox});
		t.like((await client.unary(store.fullName, store.methods.get, {sandboxId: 'sb'})).sandbox, {sandboxId: 'sb', labels: {a: 'b'}, sandboxer: 'shim'});
		// containerd 2.1 has no code for it.
		const missing = program.kind === 'keelson' ? {code: 'NOT_FOUND'} : {message: /sb/v};
		await t.throwsAsync(client.unary(controller.fullName, controller.methods.start, named), missing);
		await client.unary(controller.fullName, controller.methods.create, {...named, sandbox});
		await t.throwsAsync(client.unary(controller.fullName, controller.methods.create, {...named, sandbox}), {code: 'ALREADY_EXISTS'});
		const started = await client.unary(controller.fullName, controller.methods.start, named);
		t.is(started.sandboxId, 'sb');
		// containerd 2.1 keeps these to itself.
		if (program.kind === 'keelson') {
			t.regex(started.address, /^unix:\/\/\/run\/containerd\/s\//v);
			t.is(started.version, 2);
			t.like((await client.unary(controller.fullName, controller.methods.platform, named)).platform, {os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch});
		}

		if (isOurs) {
			t.like(await client.unary(controller.fullName, controller.methods.status, named), {pid: started.pid, state: 'SANDBOX_READY'});
		}

		await ctr.ok('run', '-d', '--sandbox', 'sb', '--runtime', runtime, images.busybox, 'inside', 'sleep', '60');
		await client.unary(controller.fullName, controller.methods.update, {...named, sandbox, fields: ['labels']});
		// containerd of 2.1 asks nobody whether it is there.
		const updated = client.unary(controller.fullName, controller.methods.update, {...named, sandboxId: 'nobody', sandbox, fields: []});
		await (program.kind === 'keelson' ? t.throwsAsync(updated, {code: 'NOT_FOUND'}) : updated);
		await t.throwsAsync(client.unary(controller.fullName, controller.methods.update, {...named, fields: []}));
		const metrics = async () => (await client.unary(controller.fullName, controller.methods.metrics, named)).metrics;
		if (isOurs) {
			// containerd 2.1 has the container elsewhere.
			t.like(await metrics(), {id: 'sb'});
			t.is((await metrics())?.data?.typeUrl, metricsType);
			t.is(countOf(await metrics()) > 0n, program.kind === 'keelson');
		} else {
			await t.throwsAsync(metrics(), {code: 'UNIMPLEMENTED'});
		}

		const [row] = await ctr.rows('tasks', 'ls');
		const shim = await shimOf(ctr.namespace, 'sb');
		// containerd 2.1 gives the container a shim of its own all the same.
		t.is(await parentOf(row?.[1]) === shim, program.kind === 'keelson');
		await daemon.restart();
		t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e', 'inside', 'echo', 'well'), 'well\n');
		await ctr.ok('tasks', 'rm', '--force', 'inside');
		await ctr.ok('containers', 'rm', 'inside');
		t.true((await readFile(`/proc/${shim}/stat`, 'utf8')).length > 0, 'the sandbox outlives its containers');

		// Who listened was cut off by the restart.
		await using later = await listening(daemon, ctr);
		const waiting = client.unary(controller.fullName, controller.methods.wait, named);
		await client.unary(controller.fullName, controller.methods.stop, {...named, timeoutSecs: 1});
		// Their shim ends with the sandbox, and takes the answer along.
		t.true([0, ...isOurs ? [] : [255]].includes((await waiting).exitStatus));
		await client.unary(controller.fullName, controller.methods.shutdown, named);
		await until('the shim to end', async () => readFile(`/proc/${shim}/cmdline`, 'utf8').then(line => line === '', () => true));
		if (program.kind === 'keelson') {
			await t.throwsAsync(client.unary(controller.fullName, controller.methods.stop, {...named, timeoutSecs: 1}), missing);
		}

		await until('the end to be told', () => told('exit', later));
		t.regex(later.stdout, /\/sandboxes\/exit \{.*"sandbox_id":"sb"/v);
		await client.unary(store.fullName, store.methods.delete, {sandboxId: 'sb'});
		t.deepEqual((await client.unary(store.fullName, store.methods.list, {})).list, []);
		t.true(['create', 'start'].every(topic => told(topic)), events.stdout);
		await ctr.ok('images', 'rm', '--sync', images.busybox);
	});
}

const noSpare = '[plugins."io.containerd.runtime.v2.task"]\nwarm_spare = false\n';

test('a sandbox whose shim is killed where there is no spare is not ready, and can be taken away; a runtime without sandboxes leaves nothing', async t => {
	t.timeout(60_000);
	await using daemon = await Daemon.start(keelson({config: noSpare}));
	const ctr = daemon.ctr('2.1', daemon.namespace('sandbox'));
	using client = new Connection({address: daemon.places.address, headers: {'containerd-namespace': ctr.namespace}});
	const {fullName, methods} = ControllerDefinition;

	const recordOf = (sandboxId: string, runtime: string) => ({
		sandboxId, sandboxer: '', runtime: {name: runtime, options: undefined}, labels: {}, extensions: {}, spec: undefined, createdAt: undefined, updatedAt: undefined,
	});
	// ctr cannot make one that runs: its client never asks a controller to create.
	const lost = recordOf('lost', 'io.containerd.runc.v2');
	await client.unary(StoreDefinition.fullName, StoreDefinition.methods.create, {sandbox: lost});
	t.regex(await ctr.ok('sandboxes', 'ls'), /lost .*io\.containerd\.runc\.v2/v);
	const named = {sandboxId: 'lost', sandboxer: ''};
	// As clients before containerd 2.0 do, whose requests do not hold the record.
	await client.unary(fullName, methods.create, named);
	await client.unary(fullName, methods.start, named);
	const waiting = client.unary(fullName, methods.wait, named);
	const {pid, state} = await client.unary(fullName, methods.status, named);
	t.is(state, 'SANDBOX_READY');
	process.kill(pid, 'SIGKILL');
	t.is((await waiting).exitStatus, 255);
	t.like(await client.unary(fullName, methods.status, named), {state: 'SANDBOX_NOTREADY', pid: 0, address: ''});
	await ctr.ok('sandboxes', 'rm', '--force', 'lost');
	t.is((await ctr.rows('sandboxes', 'ls')).length, 0);

	const sandbox = recordOf('none', theirs('2.1'));
	await t.throwsAsync(client.unary(fullName, methods.create, {sandboxId: 'none', sandboxer: 'shim', sandbox}), {code: 'UNIMPLEMENTED'});
	await t.throwsAsync(client.unary(fullName, methods.create, {sandboxId: 'none', sandboxer: 'nobody', sandbox}), {code: 'NOT_FOUND', message: /"nobody"/v});
	await until('nothing to be left', async () => (await daemon.leftovers()).length === 0);
	t.deepEqual(await readdir(path.join(daemon.places.state, 'io.containerd.sandbox.controller.v1.shim', ctr.namespace)), []);
});

test('a container of a sandbox whose controller is not known here goes to the shim that its client names', async t => {
	t.timeout(60_000);
	await using registry = await Registry.start();
	const images = await pushTestImages(registry);
	await using daemon = await Daemon.start(keelson({config: noSpare}));
	const ctr = daemon.ctr('2.1', daemon.namespace('sandbox'));
	await ctr.ok('images', 'pull', '--plain-http', images.busybox);
	using client = clientOf(daemon, ctr);
	const {containers, sandboxController, sandboxStore, tasks} = client.services;
	const named = {sandboxId: 'sb', sandboxer: 'shim'};
	const sandbox = {...named, runtime: {name: 'io.containerd.runc.v2', options: undefined}, labels: {}, extensions: {}, spec: undefined, createdAt: undefined, updatedAt: undefined};
	await sandboxStore.create({sandbox});
	await sandboxController.create({...named, sandbox});
	const {address, version, pid} = await sandboxController.start(named);
	await sandboxStore.create({sandbox: {...sandbox, sandboxId: 'elsewhere', sandboxer: 'nobody'}});
	for (const [id, request] of [
		['by-request', {taskApiAddress: address, taskApiVersion: version}],
		['by-options', {options: {typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial({taskApiAddress: address, taskApiVersion: version})).finish()}}],
	] as const) {
		await createContainer(client, ctr, images.busybox, {id: `made-${id}`, args: ['sleep', '60']});
		const {container} = await containers.get({id: `made-${id}`});
		await containers.create({container: {...container, id, sandbox: 'elsewhere'}});
		await t.throwsAsync(createTask(client, id), {code: 'NOT_FOUND', message: /"?nobody"?/v});
		for (const wrong of [{taskApiAddress: 'tcp://127.0.0.1:1', taskApiVersion: 2}, {taskApiAddress: address, taskApiVersion: 1}]) {
			await t.throwsAsync(createTask(client, id, wrong), {code: 'INVALID_ARGUMENT', message: /task API/v});
		}
		const task = await createTask(client, id, request);
		t.is(await parentOf(String(task)), pid);
		await tasks.start({containerId: id});
		await daemon.restart();
		t.like((await tasks.get({containerId: id})).process, {pid: task, status: Status.RUNNING});
		await remove(ctr, id, `made-${id}`);
	}
	t.like(await sandboxController.status(named), {pid, state: 'SANDBOX_READY'});
	await sandboxController.shutdown(named);
	await Promise.all(['sb', 'elsewhere'].map(async sandboxId => sandboxStore.delete({sandboxId})));
	await until('nothing to be left', async () => (await daemon.leftovers()).length === 0);
});

for (const hasContainer of [true, false]) {
	test(`a sandbox ${hasContainer ? 'with a container' : 'without containers'} goes on in the spare when its shim is killed, and whoever waits for it goes on`, async t => {
		t.timeout(120_000);
		await using registry = await Registry.start();
		const images = await pushTestImages(registry);
		await using daemon = await Daemon.start(keelson());
		const ctr = daemon.ctr('2.1', daemon.namespace('sandbox'));
		await ctr.ok('images', 'pull', '--plain-http', images.busybox);
		using client = new Connection({address: daemon.places.address, headers: {'containerd-namespace': ctr.namespace}});
		const {fullName, methods} = ControllerDefinition;
		const named = {sandboxId: 'sb', sandboxer: 'shim'};
		const sandbox = {...named, runtime: {name: 'io.containerd.runc.v2', options: undefined}, labels: {}, extensions: {}, spec: undefined, createdAt: undefined, updatedAt: undefined};
		await client.unary(StoreDefinition.fullName, StoreDefinition.methods.create, {sandbox});
		await client.unary(fullName, methods.create, {...named, sandbox, netnsPath: '/proc/self/ns/net'});
		const {pid, createdAt} = await client.unary(fullName, methods.start, named);
		if (hasContainer) {
			await ctr.ok('run', '-d', '--sandbox', 'sb', images.busybox, 'inside', 'sleep', '1000');
		}

		const waiting = client.unary(fullName, methods.wait, named);
		const ended = Promise.race([waiting, new Promise(resolve => {
			setTimeout(resolve, 1, 'pending');
		})]);
		t.is(await ended, 'pending');
		process.kill(pid, 'SIGKILL');
		const status = await until('the spare to have taken over', async () => {
			const found = await client.unary(fullName, methods.status, {...named, verbose: true});
			return found.pid === pid || found.pid === 0 ? undefined : found;
		}, {timeoutMs: 20_000});
		t.like(status, {state: 'SANDBOX_READY', createdAt, info: {netns_path: '/proc/self/ns/net'}});
		await t.throwsAsync(client.unary(fullName, methods.start, named), {code: 'FAILED_PRECONDITION'});
		await ctr.ok('run', '-d', '--sandbox', 'sb', images.busybox, 'second', 'sleep', '1000');
		const rows = await ctr.rows('tasks', 'ls');
		t.deepEqual(rows.map(([id, , state]) => [id, state]), [...hasContainer ? [['inside', 'RUNNING']] : [], ['second', 'RUNNING']]);
		t.is(await parentOf(rows.at(-1)?.[1]), status.pid);
		await ctr.ok('tasks', 'rm', '--force', 'second');
		await client.unary(fullName, methods.stop, {...named, timeoutSecs: 1});
		t.is((await waiting).exitStatus, 0);

		// What it is after its end is known as well.
		process.kill(status.pid, 'SIGKILL');
		await until('the next spare to have taken over', async () => {
			const found = await client.unary(fullName, methods.status, named);
			return found.pid !== status.pid && found.pid !== 0 && found.exitedAt !== undefined;
		}, {timeoutMs: 20_000});
		t.is((await client.unary(fullName, methods.wait, named)).exitStatus, 0);
		for (const id of [...hasContainer ? ['inside'] : [], 'second']) {
			await ctr.run('tasks', 'rm', '--force', id);
			await ctr.ok('containers', 'rm', id);
		}

		await client.unary(fullName, methods.shutdown, named);
		await t.throwsAsync(client.unary(fullName, methods.status, named), {code: 'NOT_FOUND'});
		await client.unary(StoreDefinition.fullName, StoreDefinition.methods.delete, {sandboxId: 'sb'});
		t.deepEqual(await readdir(path.join(daemon.places.state, 'io.containerd.sandbox.controller.v1.shim', ctr.namespace)), []);
		await t.throwsAsync(access(status.address.replace('unix://', '')), {code: 'ENOENT'});
		await ctr.ok('images', 'rm', '--sync', images.busybox);
	});
}
