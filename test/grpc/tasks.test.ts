import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {Any as AnyMessage} from '../../api/gen/google/protobuf/any.ts';
import {TasksDefinition} from '../../api/gen/services/tasks/v1/tasks.ts';
import {CheckpointOptions} from '../../api/gen/types/runc/options/oci.ts';
import {Status} from '../../api/gen/types/task/task.ts';
import type {Any} from '../../contracts/oci/any.ts';
import type {CreateTask, ProcessInfo, ProcessKey, Tasks} from '../../contracts/task/task.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {checkpointer} from '../../plugins/grpc-tasks/checkpoint.ts';
import {tasksService} from '../../plugins/grpc-tasks/service.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {FileDiffer} from '../helpers/file-differ.ts';
import {until} from '../helpers/until.ts';
import {sqliteInMemory} from '../metadata/sqlite-in-memory.ts';

const {fullName: SERVICE, methods} = TasksDefinition;
const exitedAt = new Date('2026-01-02T03:04:05.678Z');
const stamp = {seconds: 1_767_323_045n, nanos: 678_000_000};

/** The contract in memory: processes that are only records; a wait ends when one is killed. */
class MemoryTasks implements Tasks {
	readonly calls: unknown[] = [];
	readonly #processes = new Map<string, {info: ProcessInfo; readonly ended: PromiseWithResolvers<void>}>();

	async create(task: CreateTask): Promise<number> {
		const {rootfs, options, checkpoint, runtimePath, ...stdio} = task;
		this.calls.push({create: {rootfs, options, checkpoint, runtimePath}});
		this.#processes.set(`${task.containerId}/`, {ended: Promise.withResolvers(), info: {...stdio, execId: '', pid: 41, status: 'created', exitStatus: 0}});
		return 41;
	}

	async start(key: ProcessKey): Promise<number> {
		return this.#set(key, {status: 'running'}).pid;
	}

	async delete(containerId: string) {
		const {pid} = this.#find({containerId, execId: ''}).info;
		this.#processes.delete(`${containerId}/`);
		return {pid, exitStatus: 137, exitedAt};
	}

	async deleteProcess(key: ProcessKey) {
		const {pid} = this.#find(key).info;
		return {pid, exitStatus: 0, exitedAt};
	}

	async get(key: ProcessKey): Promise<ProcessInfo> {
		return this.#find(key).info;
	}

	async list(): Promise<readonly ProcessInfo[]> {
		return [...this.#processes.values()].map(({info}) => info);
	}

	async kill(key: ProcessKey, signalNumber: number, all: boolean): Promise<void> {
		this.calls.push({kill: {signalNumber, all}});
		this.#set(key, {status: 'stopped', exitStatus: 128 + signalNumber, exitedAt});
		this.#find(key).ended.resolve();
	}

	async exec({spec, ...process}: Parameters<Tasks['exec']>[0]): Promise<void> {
		this.calls.push({exec: spec.typeUrl});
		this.#processes.set(`${process.containerId}/${process.execId}`, {ended: Promise.withResolvers(), info: {...process, pid: 42, status: 'created', exitStatus: 0}});
	}

	async resizePty(key: ProcessKey, size: {readonly width: number; readonly height: number}): Promise<void> {
		this.calls.push({resize: size, of: this.#find(key).info.pid});
	}

	async closeIo(key: ProcessKey, stdin: boolean): Promise<void> {
		this.calls.push({closeIo: stdin, of: this.#find(key).info.pid});
	}

	async pause(containerId: string): Promise<void> {
		this.#set({containerId, execId: ''}, {status: 'paused'});
	}

	async resume(containerId: string): Promise<void> {
		this.#set({containerId, execId: ''}, {status: 'running'});
	}

	async pids(containerId: string) {
		return [{pid: this.#find({containerId, execId: ''}).info.pid}, {pid: 42, info: {typeUrl: 'details', value: new Uint8Array()}}];
	}

	async checkpoint(containerId: string, imagePath: string, options: Any | undefined): Promise<void> {
		this.calls.push({checkpoint: options?.typeUrl});
		await writeFile(path.join(imagePath, 'pages'), `memory of ${containerId}`);
	}

	async update(_: string, resources: Any | undefined, annotations: Readonly<Record<string, string>>): Promise<void> {
		this.calls.push({update: resources?.typeUrl, annotations});
	}

	async metrics(filters: readonly string[]) {
		return [{id: filters.join(), timestamp: exitedAt, data: {typeUrl: 'metrics', value: new Uint8Array()}}];
	}

	async wait(key: ProcessKey) {
		this.calls.push({wait: key.containerId});
		await this.#find(key).ended.promise;
		const {pid, exitStatus} = this.#find(key).info;
		return {pid, exitStatus, exitedAt};
	}

	#find({containerId, execId}: ProcessKey) {
		const found = this.#processes.get(`${containerId}/${execId}`);
		if (found === undefined) {
			throw new KeelsonError('NOT_FOUND', `no running task found: task ${containerId} not found`);
		}
		return found;
	}

	#set(key: ProcessKey, change: Partial<ProcessInfo>): ProcessInfo {
		const found = this.#find(key);
		found.info = {...found.info, ...change};
		return found.info;
	}
}

interface Room extends AsyncDisposable {
	readonly tasks: MemoryTasks;
	readonly room: GrpcRoom;
	readonly house: ReturnType<typeof sqliteInMemory>;
	readonly directory: string;
}

async function open(): Promise<Room> {
	await using half = new AsyncDisposableStack();
	const tasks = new MemoryTasks();
	const house = half.use(sqliteInMemory());
	await house.namespaces.create({name: 'default', labels: {}});
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-tasks-'));
	half.defer(async () => rm(directory, {recursive: true, force: true}));
	const tasksFor = (): Tasks => tasks;
	const checkpoint = checkpointer({tasksFor, scopeFor: () => house.scope({namespace: 'default'}), differ: new FileDiffer(), directory});
	const room = half.use(await GrpcRoom.open([tasksService({tasksFor, checkpoint})]));
	const whole = half.move();
	return {tasks, room, house, directory, [Symbol.asyncDispose]: () => whole.disposeAsync()};
}

const create = {containerId: 'c1', rootfs: [{type: 'bind', source: '/a', target: '', options: ['rw']}], stdin: '/i', stdout: '/o', stderr: '/e', terminal: true};

test('a task is created, started, shown, killed, waited for and deleted', async t => {
	await using stage = await open();
	const {room: {client}, tasks} = stage;
	t.deepEqual(await client.unary(SERVICE, methods.create, {...create, options: {typeUrl: 'options', value: new Uint8Array()}, runtimePath: '/bin/shim'}), {containerId: 'c1', pid: 41});
	t.like(tasks.calls[0], {create: {rootfs: create.rootfs, options: {typeUrl: 'options'}, checkpoint: undefined, runtimePath: '/bin/shim'}});
	t.is((await client.unary(SERVICE, methods.start, {containerId: 'c1'})).pid, 41);
	t.deepEqual((await client.unary(SERVICE, methods.get, {containerId: 'c1'})).process, {
		containerId: 'c1', id: 'c1', pid: 41, status: Status.RUNNING, stdin: '/i', stdout: '/o', stderr: '/e', terminal: true, exitStatus: 0, exitedAt: undefined,
	});
	const wait = client.unary(SERVICE, methods.wait, {containerId: 'c1'});
	await client.unary(SERVICE, methods.kill, {containerId: 'c1', signal: 9, all: true});
	t.deepEqual(tasks.calls.at(-1), {kill: {signalNumber: 9, all: true}});
	t.deepEqual(await wait, {exitStatus: 137, exitedAt: stamp});
	t.like((await client.unary(SERVICE, methods.list, {})).tasks[0], {status: Status.STOPPED, exitStatus: 137, exitedAt: stamp});
	const filtered = async (filter: string) => (await client.unary(SERVICE, methods.list, {filter})).tasks.length;
	for (const [filter, count] of [
		['status==stopped', 1], ['status==STOPPED,pid==41', 1], ['status!=STOPPED', 0], ['pid==42', 0], ['id~=^c', 1], ['status', 1], ['id=c1', 1], ['other==x', 1], ['id==x,other==x', 1], ['x'.repeat(100_000), 1],
	] as const) {
		t.is(await filtered(filter), count, filter.slice(0, 100));
	}
	t.deepEqual(await client.unary(SERVICE, methods.delete, {containerId: 'c1'}), {id: 'c1', pid: 41, exitStatus: 137, exitedAt: stamp});
	await t.throwsAsync(client.unary(SERVICE, methods.get, {containerId: 'c1'}), {code: 'NOT_FOUND', message: /^no running task found/});
});

test('an exec goes the same way under its own id', async t => {
	await using stage = await open();
	const {room: {client}, tasks} = stage;
	await client.unary(SERVICE, methods.create, create);
	await t.throwsAsync(client.unary(SERVICE, methods.exec, {containerId: 'c1', execId: 'e1'}), {code: 'INVALID_ARGUMENT', message: /"e1" has no spec/});
	await client.unary(SERVICE, methods.exec, {containerId: 'c1', execId: 'e1', spec: {typeUrl: 'spec', value: new Uint8Array()}});
	t.is((await client.unary(SERVICE, methods.start, {containerId: 'c1', execId: 'e1'})).pid, 42);
	t.like((await client.unary(SERVICE, methods.get, {containerId: 'c1', execId: 'e1'})).process, {containerId: 'c1', id: 'e1', pid: 42});
	await client.unary(SERVICE, methods.resizePty, {containerId: 'c1', execId: 'e1', width: 80, height: 25});
	await client.unary(SERVICE, methods.closeIO, {containerId: 'c1', execId: 'e1', stdin: true});
	t.deepEqual(tasks.calls.slice(-2), [{resize: {width: 80, height: 25}, of: 42}, {closeIo: true, of: 42}]);
	t.is((await client.unary(SERVICE, methods.deleteProcess, {containerId: 'c1', execId: 'e1'})).id, 'e1');
});

test('what a task is asked while it runs goes through', async t => {
	await using stage = await open();
	const {room: {client}, tasks} = stage;
	await client.unary(SERVICE, methods.create, create);
	await client.unary(SERVICE, methods.pause, {containerId: 'c1'});
	t.is((await client.unary(SERVICE, methods.get, {containerId: 'c1'})).process?.status, Status.PAUSED);
	await client.unary(SERVICE, methods.resume, {containerId: 'c1'});
	t.deepEqual((await client.unary(SERVICE, methods.listPids, {containerId: 'c1'})).processes.map(({pid, info}) => [pid, info?.typeUrl]), [[41, undefined], [42, 'details']]);
	await client.unary(SERVICE, methods.update, {containerId: 'c1', resources: {typeUrl: 'r', value: new Uint8Array()}, annotations: {a: 'b'}});
	t.deepEqual(tasks.calls.at(-1), {update: 'r', annotations: {a: 'b'}});
	t.like((await client.unary(SERVICE, methods.metrics, {filters: ['id==c1']})).metrics[0], {id: 'id==c1', timestamp: stamp, data: {typeUrl: 'metrics'}});
});

test('a checkpoint without a path becomes two blobs, as often as it is made, and leaves no directory', async t => {
	await using stage = await open();
	const {room: {client}, house, directory} = stage;
	await client.unary(SERVICE, methods.create, create);
	const {containers, content} = house.scope({namespace: 'default'});
	const spec = {typeUrl: 'spec', value: Buffer.from('{}')};
	await containers.create({id: 'c1', labels: {}, image: '', runtime: {name: 'r'}, spec, snapshotter: '', snapshotKey: '', extensions: {}, sandbox: ''});
	const {descriptors} = await client.unary(SERVICE, methods.checkpoint, {containerId: 'c1'});
	t.deepEqual(descriptors.map(({mediaType}) => mediaType), [
		'application/vnd.containerd.container.criu.checkpoint.criu.tar',
		'application/vnd.containerd.container.checkpoint.config.v1+proto',
	]);
	const texts = await Promise.all(descriptors.map(async ({digest}) => {
		await using reader = await content.open(digest as `sha256:${string}`);
		return Buffer.concat(await Array.fromAsync(reader.read()));
	}));
	t.is(texts[0]?.toString(), 'memory of c1');
	t.like(AnyMessage.decode(texts[1] ?? new Uint8Array()), {typeUrl: 'spec'});
	t.deepEqual((await client.unary(SERVICE, methods.checkpoint, {containerId: 'c1'})).descriptors, descriptors);
	t.deepEqual(await readdir(directory), []);
	t.deepEqual(await content.statuses(), []);
});

test('a checkpoint with a path is written there and answers nothing', async t => {
	await using stage = await open();
	const {room: {client}, directory} = stage;
	const value = CheckpointOptions.encode(CheckpointOptions.fromPartial({imagePath: directory})).finish();
	const options = {typeUrl: 'containerd.runc.v1.CheckpointOptions', value};
	t.deepEqual((await client.unary(SERVICE, methods.checkpoint, {containerId: 'c1', options})).descriptors, []);
	t.deepEqual(await readdir(directory), ['pages']);
	const broken = {...options, value: Buffer.from([0x42, 0x7f])};
	await t.throwsAsync(client.unary(SERVICE, methods.checkpoint, {containerId: 'c1', options: broken}), {code: 'INVALID_ARGUMENT', message: /2 bytes are no .*CheckpointOptions/});
});

test('a daemon that stops cuts a wait at once', async t => {
	let fastest = Infinity;
	// One of a few stops has to do: a machine that is busy is no failure. A wait that is not cut costs each its grace.
	for (let attempt = 0; attempt < 4 && fastest > 1000; attempt++) {
		await using stage = await open();
		const {room, tasks} = stage;
		await room.client.unary(SERVICE, methods.create, create);
		const wait = t.throwsAsync(room.client.unary(SERVICE, methods.wait, {containerId: 'c1'}), {code: 'UNAVAILABLE', message: /stopping/});
		await until('the wait to be under way', () => tasks.calls.some(call => 'wait' in (call as object)));
		const start = performance.now();
		await room.stop();
		await wait;
		fastest = Math.min(fastest, performance.now() - start);
	}
	t.true(fastest < 1000, `${fastest} ms`);
});
