import type {ExecutionContext, TestFn} from 'ava';
import type {ContainerRecord} from '../metadata/metadata.ts';
import type {ProcessExit, TaskManager, Tasks} from './task.ts';

/** What a test needs around a task manager. */
export interface TaskStage extends AsyncDisposable {
	readonly manager: TaskManager;
	readonly namespace: string;
	/** Adds a container record that runs `args` in a root file system that has /bin/sh; resolves with its id. */
	container(args: readonly string[], change?: SpecChange): Promise<string>;
	/** A FIFO that the test reads. */
	output(): Promise<{readonly path: string; readonly text: () => Promise<string>}>;
	/** A FIFO that the test writes. */
	input(): Promise<{readonly path: string; readonly write: (text: string) => void; readonly end: () => void}>;
	/** Topics and ids of the events of one container so far. */
	heard(containerId: string): readonly string[];
	/** What is left of a container: bundle, mounts, network namespace, control groups, processes. */
	leftovers(containerId: string): Promise<readonly string[]>;
}

export interface SpecChange {
	/** Of the OCI spec (runtime-spec config.md, POSIX-platform Hooks). */
	readonly hooks?: object;
	readonly annotations?: Readonly<Record<string, string>>;
	readonly terminal?: boolean;
	readonly sharesPids?: boolean;
	readonly record?: Partial<ContainerRecord>;
}

export interface TaskSubject {
	readonly name: string;
	open(): Promise<TaskStage>;
}

const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;

/** Every task manager passes this, whatever shim it drives. */
export function taskSuite(test: TestFn, {name, open}: TaskSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, stage: TaskStage, tasks: Tasks) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using stage = await open();
			await tell(t, stage, stage.manager.tasks(stage.namespace));
		});
	};

	story('a task is created, started, waited for and deleted, and nothing is left', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'echo hello; echo oops >&2; exit 7']);
		const [stdout, stderr] = [await stage.output(), await stage.output()];
		const pid = await tasks.create({...none, containerId, stdout: stdout.path, stderr: stderr.path});
		t.true(pid > 1);
		t.is((await tasks.get({containerId, execId: ''})).status, 'created');
		const waiting = tasks.wait({containerId, execId: ''});
		t.is(await tasks.start({containerId, execId: ''}), pid);
		t.is((await waiting).exitStatus, 7);
		const info = await tasks.get({containerId, execId: ''});
		t.like(info, {status: 'stopped', exitStatus: 7, pid, stdout: stdout.path});
		t.is(await stdout.text(), 'hello\n');
		t.is(await stderr.text(), 'oops\n');
		t.like(await tasks.delete(containerId), {pid, exitStatus: 7});
		t.deepEqual(await stage.leftovers(containerId), []);
		await t.throwsAsync(tasks.get({containerId, execId: ''}), {code: 'NOT_FOUND', message: /not found/});
		await heard(stage, containerId, ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
		t.deepEqual(stage.heard(containerId), ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
	});

	story('a command that is not in the image fails with the runtime\'s words and leaves nothing', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/nosuch']);
		const error = await t.throwsAsync(tasks.create({...none, containerId}));
		t.regex(error.message, /^failed to create shim task: OCI runtime create failed: /);
		t.regex(error.message, /\/bin\/nosuch/);
		t.deepEqual(await stage.leftovers(containerId), []);
		t.false(stage.heard(containerId).includes('/tasks/exit'));
		// The id is free again.
		await t.throwsAsync(tasks.create({...none, containerId}), {message: /\/bin\/nosuch/});
	});

	story('what is not there is NOT_FOUND', async (t, stage, tasks) => {
		const [containerId, code] = ['nosuch', 'NOT_FOUND'];
		await t.throwsAsync(tasks.create({...none, containerId}), {code});
		await t.throwsAsync(tasks.start({containerId, execId: ''}), {code});
		await t.throwsAsync(tasks.kill({containerId, execId: ''}, 9, false), {code});
		await t.throwsAsync(tasks.delete(containerId), {code});
		await t.throwsAsync(tasks.wait({containerId, execId: ''}), {code});
		t.deepEqual(await tasks.list(), []);
		const there = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId: there});
		await t.throwsAsync(tasks.get({containerId: there, execId: 'nosuch'}), {code});
	});

	story('a task that is there cannot be created again, or deleted while it runs', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await t.throwsAsync(tasks.create({...none, containerId}), {code: 'ALREADY_EXISTS'});
		await tasks.start({containerId, execId: ''});
		await t.throwsAsync(tasks.start({containerId, execId: ''}), {code: 'FAILED_PRECONDITION'});
		await t.throwsAsync(tasks.delete(containerId), {code: 'FAILED_PRECONDITION'});
		t.deepEqual((await tasks.list()).map(({containerId: id, status}) => [id, status]), [[containerId, 'running']]);
		await end(tasks, containerId);
	});

	story('a signal ends it with 128 and its number; what is gone cannot be killed', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await tasks.start({containerId, execId: ''});
		await tasks.kill({containerId, execId: ''}, 9, false);
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 137);
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 137);
		await t.throwsAsync(tasks.kill({containerId, execId: ''}, 9, false), {code: 'NOT_FOUND'});
		t.is((await tasks.delete(containerId)).exitStatus, 137);
	});

	story('an init that is killed before it starts is a stopped task', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await tasks.kill({containerId, execId: ''}, 9, false);
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 137);
		t.is((await tasks.get({containerId, execId: ''})).status, 'stopped');
		await tasks.delete(containerId);
		t.deepEqual(await stage.leftovers(containerId), []);
	});

	story('an exec has a life of its own, told in order, and init\'s end is the last', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await tasks.start({containerId, execId: ''});
		const [stdout, stderr] = [await stage.output(), await stage.output()];
		await tasks.exec({...none, containerId, execId: 'one', stdout: stdout.path, stderr: stderr.path, spec: processOf(['/bin/sh', '-c', 'echo inside; exit 3'])});
		await t.throwsAsync(tasks.exec({...none, containerId, execId: 'one', spec: processOf(['/bin/sh'])}), {code: 'ALREADY_EXISTS'});
		t.is((await tasks.get({containerId, execId: 'one'})).status, 'created');
		const waiting = tasks.wait({containerId, execId: 'one'});
		t.true(await tasks.start({containerId, execId: 'one'}) > 1);
		t.is((await waiting).exitStatus, 3);
		t.is(await stdout.text(), 'inside\n');
		t.is((await tasks.deleteProcess({containerId, execId: 'one'})).exitStatus, 3);
		await tasks.exec({...none, containerId, execId: 'two', spec: processOf(['/bin/sh', '-c', 'sleep 100'])});
		const pid = await tasks.start({containerId, execId: 'two'});
		const pids = await tasks.pids(containerId);
		t.true(pids.length >= 2);
		t.is(pids.find(one => one.pid === pid)?.info?.typeUrl.split('/').at(-1), 'containerd.runc.v1.ProcessDetails');
		await tasks.kill({containerId, execId: ''}, 9, false);
		await tasks.wait({containerId, execId: ''});
		t.is((await tasks.wait({containerId, execId: 'two'})).exitStatus, 137);
		await heard(stage, containerId, ['/tasks/exit', '/tasks/exit', '/tasks/exit']);
		t.deepEqual(stage.heard(containerId), [
			'/tasks/create', '/tasks/start', '/tasks/exec-added', '/tasks/exec-started', '/tasks/exit one',
			'/tasks/exec-added', '/tasks/exec-started', '/tasks/exit two', '/tasks/exit',
		]);
		// A shim refuses the exec itself, or its start; then it stays as it was.
		const late = await tasks.exec({...none, containerId, execId: 'late', spec: processOf(['/bin/sh'])}).then(() => undefined, (error: unknown) => error);
		if (late === undefined) {
			await t.throwsAsync(tasks.start({containerId, execId: 'late'}), {code: 'FAILED_PRECONDITION'});
			t.is((await tasks.deleteProcess({containerId, execId: 'late'})).exitStatus, 0);
		} else {
			t.like(late, {code: 'FAILED_PRECONDITION'});
		}
		await tasks.deleteProcess({containerId, execId: 'two'});
		await tasks.delete(containerId);
		t.deepEqual(await stage.leftovers(containerId), []);
	});

	story('standard input reaches the process and ends when it is closed', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'cat; echo over']);
		const [stdin, stdout, stderr] = [await stage.input(), await stage.output(), await stage.output()];
		await tasks.create({...none, containerId, stdin: stdin.path, stdout: stdout.path, stderr: stderr.path});
		await tasks.start({containerId, execId: ''});
		stdin.write('one\n');
		stdin.write('two\n');
		stdin.end();
		await tasks.closeIo({containerId, execId: ''}, true);
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 0);
		t.is(await stdout.text(), 'one\ntwo\nover\n');
		await tasks.delete(containerId);
	});

	story('a terminal is a terminal, and has the size that it is given', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'read line; stty size; test -t 0 && echo "tty $line"; exit 4'], {terminal: true});
		const [stdin, stdout] = [await stage.input(), await stage.output()];
		await tasks.create({...none, containerId, terminal: true, stdin: stdin.path, stdout: stdout.path});
		await tasks.start({containerId, execId: ''});
		await tasks.resizePty({containerId, execId: ''}, {width: 123, height: 45});
		stdin.write('go\n');
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 4);
		t.regex((await stdout.text()).replaceAll('\r', ''), /45 123\ntty go\n/);
		stdin.end();
		await tasks.delete(containerId);
		t.deepEqual(await stage.leftovers(containerId), []);
	});

	story('a paused task is paused until it is resumed', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await tasks.start({containerId, execId: ''});
		await tasks.pause(containerId);
		t.is((await tasks.get({containerId, execId: ''})).status, 'paused');
		await tasks.resume(containerId);
		t.is((await tasks.get({containerId, execId: ''})).status, 'running');
		await tasks.pause(containerId);
		await tasks.kill({containerId, execId: ''}, 9, false);
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 137);
		await tasks.delete(containerId);
	});

	story('metrics are those of the control group, and limits can be changed', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await tasks.start({containerId, execId: ''});
		await tasks.update(containerId, json('LinuxResources', {memory: {limit: 64 * 1024 * 1024}}), {});
		const [metric, ...more] = await tasks.metrics([`id==${containerId}`]);
		t.deepEqual(more, []);
		t.is(metric?.id, containerId);
		t.regex(metric?.data.typeUrl ?? '', /io\.containerd\.cgroups\.v[12]\.Metrics$/);
		t.true((metric?.data.value.length ?? 0) > 20);
		t.deepEqual(await tasks.metrics(['id==another']), []);
		await end(tasks, containerId);
	});

	story('a wait that nobody wants any more ends', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await tasks.start({containerId, execId: ''});
		const controller = new AbortController();
		const waiting = tasks.wait({containerId, execId: ''}, controller.signal);
		controller.abort();
		await t.throwsAsync(waiting, {code: 'CANCELLED'});
		await end(tasks, containerId);
	});

	story('what shares the host\'s pids is killed with init', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 1000 & exec sleep 0.2'], {sharesPids: true});
		await tasks.create({...none, containerId});
		await tasks.start({containerId, execId: ''});
		t.is((await tasks.wait({containerId, execId: ''})).exitStatus, 0);
		await tasks.delete(containerId);
		t.deepEqual(await stage.leftovers(containerId), []);
	});

	story('a created task can be deleted', async (t, stage, tasks) => {
		const containerId = await stage.container(['/bin/sh', '-c', 'sleep 100']);
		await tasks.create({...none, containerId});
		await tasks.delete(containerId);
		t.deepEqual(await stage.leftovers(containerId), []);
	});
}

function processOf(args: readonly string[]): {readonly typeUrl: string; readonly value: Uint8Array} {
	return json('Process', {args, cwd: '/', env: ['PATH=/bin'], user: {uid: 0, gid: 0}});
}

function json(type: string, value: object): {readonly typeUrl: string; readonly value: Uint8Array} {
	return {typeUrl: `types.containerd.io/opencontainers/runtime-spec/1/${type}`, value: Buffer.from(JSON.stringify(value))};
}

async function end(tasks: Tasks, containerId: string): Promise<ProcessExit> {
	await tasks.kill({containerId, execId: ''}, 9, true);
	await tasks.wait({containerId, execId: ''});
	return tasks.delete(containerId);
}

// Events come by another way than answers.
async function heard(stage: TaskStage, containerId: string, topics: readonly string[]): Promise<void> {
	const isComplete = (): boolean => {
		const all = stage.heard(containerId).map(line => line.split(' ')[0]);
		return topics.every(topic => all.filter(one => one === topic).length >= topics.filter(one => one === topic).length);
	};
	for (const end = performance.now() + 30_000; !isComplete() && performance.now() < end;) {
		await new Promise(resolve => setTimeout(resolve, 20));
	}
}
