import type {ExecutionContext, TestFn} from 'ava';
import type {CreateSandbox, SandboxController, Sandboxes} from './sandbox.ts';

/** What a test needs around a sandbox controller. */
export interface SandboxStage extends AsyncDisposable {
	readonly controller: SandboxController;
	readonly namespace: string;
	/** Of a request to create. */
	readonly runtime: CreateSandbox['runtime'];
	/** Another controller in the same place, as after a restart of the daemon; the first is closed. */
	reopen(): Promise<SandboxController>;
	/** Ends what runs a sandbox, by force. */
	kill(id: string): Promise<void>;
	/** What is left of a sandbox: directories, processes, sockets. */
	leftovers(id: string): Promise<readonly string[]>;
}

export interface SandboxSubject {
	readonly name: string;
	readonly supports: {
		/** Status says `SANDBOX_READY` from start to stop, and when it began. */
		readonly states: boolean;
		/** Waits end when the sandbox does; otherwise they may at once. */
		readonly waits: boolean;
		/** Metrics say what is used. */
		readonly metrics: boolean;
		/** A start is refused where there was one. */
		readonly singleStart: boolean;
	};
	open(): Promise<SandboxStage>;
}

const spec = {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec', value: new Uint8Array([0x7b, 0x7d])};
const rest = {rootfs: [], netnsPath: '', annotations: {}, spec} as const;

/** Every sandbox controller passes this. */
export function sandboxSuite(test: TestFn, {name, supports, open}: SandboxSubject): void {
	const story = (title: string, tell: (t: ExecutionContext, stage: SandboxStage, sandboxes: Sandboxes) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using stage = await open();
			await tell(t, stage, stage.controller.sandboxes(stage.namespace));
		});
	};
	const isGone = async (t: ExecutionContext, stage: SandboxStage, sandboxes: Sandboxes, id: string): Promise<void> => {
		const calls: readonly Promise<unknown>[] = [
			sandboxes.start(id), sandboxes.platform(id), sandboxes.stop(id, 0), sandboxes.wait(id), sandboxes.status(id, false), sandboxes.shutdown(id), sandboxes.metrics(id),
			sandboxes.update(id, {runtime: stage.runtime, labels: {}, extensions: {}}, []),
		];
		for (const call of calls) {
			await t.throwsAsync(call, {code: 'NOT_FOUND'});
		}
		t.deepEqual(await stage.leftovers(id), []);
	};

	story('a sandbox is created, started, stopped and shut down, and nothing is left', async (t, stage, sandboxes) => {
		const {runtime} = stage;
		await sandboxes.create({...rest, id: 's', runtime});
		const {address, version} = await sandboxes.start('s');
		t.true(address.startsWith('unix:///'));
		t.true(version === 2 || version === 3);
		t.like(await sandboxes.status('s', true), {address, version});
		t.is((await sandboxes.platform('s')).os, 'linux');
		await sandboxes.stop('s', 0);
		await sandboxes.shutdown('s');
		await isGone(t, stage, sandboxes, 's');
	});

	story('one that is not there is not found', async (t, stage, sandboxes) => isGone(t, stage, sandboxes, 'nobody'));

	story('an id is taken once, and free again; one that is none is refused', async (t, {runtime}, sandboxes) => {
		await sandboxes.create({...rest, id: 's', runtime});
		await t.throwsAsync(sandboxes.create({...rest, id: 's', runtime}), {code: 'ALREADY_EXISTS'});
		await sandboxes.start('s');
		await sandboxes.shutdown('s');
		await sandboxes.create({...rest, id: 's', runtime});
		await sandboxes.shutdown('s');
		await t.throwsAsync(sandboxes.create({...rest, id: '../s', runtime}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(sandboxes.status('../s', false), {code: 'INVALID_ARGUMENT'});
	});

	story('a create that fails leaves nothing', async (t, stage, sandboxes) => {
		await t.throwsAsync(sandboxes.create({...rest, id: 's', runtime: {name: 'io.example.nosuch.v2'}}), {code: 'NOT_FOUND'});
		await isGone(t, stage, sandboxes, 's');
	});

	story('sandboxes of two namespaces do not meet', async (t, {controller, namespace, runtime}, sandboxes) => {
		const others = controller.sandboxes(`${namespace}-b`);
		await sandboxes.create({...rest, id: 's', runtime});
		await t.throwsAsync(others.status('s', false), {code: 'NOT_FOUND'});
		await others.create({...rest, id: 's', runtime});
		await sandboxes.shutdown('s');
		t.truthy(await others.status('s', false));
		await others.shutdown('s');
	});

	story('it goes on without the daemon, and the next one knows it', async (t, stage, sandboxes) => {
		await sandboxes.create({...rest, id: 's', runtime: stage.runtime});
		const {address} = await sandboxes.start('s');
		const again = (await stage.reopen()).sandboxes(stage.namespace);
		t.is((await again.status('s', false)).address, address);
		await again.stop('s', 0);
		await again.shutdown('s');
		await isGone(t, stage, again, 's');
	});

	story('one that is killed is not ready, has ended as nobody knows, and is taken away', async (t, stage, sandboxes) => {
		await sandboxes.create({...rest, id: 's', runtime: stage.runtime});
		await sandboxes.start('s');
		await stage.kill('s');
		t.like(await sandboxes.status('s', false), {state: 'SANDBOX_NOTREADY', address: ''});
		t.is((await sandboxes.wait('s')).exitStatus, 255);
		await sandboxes.stop('s', 0);
		await sandboxes.shutdown('s');
		await isGone(t, stage, sandboxes, 's');
	});

	story('an update is heard, of one that was killed too, and changes nothing else of it', async (t, stage, sandboxes) => {
		const {runtime} = stage;
		await sandboxes.create({...rest, id: 's', runtime});
		const {address} = await sandboxes.start('s');
		await sandboxes.update('s', {runtime, labels: {a: 'b'}, extensions: {}, spec}, ['labels']);
		t.is((await sandboxes.status('s', false)).address, address);
		await stage.kill('s');
		await sandboxes.update('s', {runtime, labels: {}, extensions: {}}, []);
		await sandboxes.shutdown('s');
	});

	story('its metrics have a time, or cannot be asked for', async (t, {runtime}, sandboxes) => {
		await sandboxes.create({...rest, id: 's', runtime});
		await sandboxes.start('s');
		if (supports.metrics) {
			const {timestamp, data} = await sandboxes.metrics('s');
			t.true(Math.abs(timestamp.getTime() - Date.now()) < 60_000);
			t.true((data?.typeUrl ?? '') !== '');
		} else {
			await t.throwsAsync(sandboxes.metrics('s'), {code: 'UNIMPLEMENTED'});
		}
		await sandboxes.shutdown('s');
	});

	if (supports.states) {
		story('its state is told', async (t, stage, sandboxes) => {
			await sandboxes.create({...rest, id: 's', runtime: stage.runtime});
			t.is((await sandboxes.status('s', false)).state, 'SANDBOX_NOTREADY');
			const {pid, createdAt} = await sandboxes.start('s');
			t.like(await sandboxes.status('s', false), {state: 'SANDBOX_READY', pid, createdAt});
			await sandboxes.stop('s', 0);
			const stopped = await sandboxes.status('s', false);
			t.is(stopped.state, 'SANDBOX_NOTREADY');
			t.true(stopped.exitedAt instanceof Date);
			await sandboxes.shutdown('s');
		});
	}
	if (supports.waits) {
		story('whoever waits is told of the end, before and after, as often as asked', async (t, stage, sandboxes) => {
			await sandboxes.create({...rest, id: 's', runtime: stage.runtime});
			await sandboxes.start('s');
			const waiting = [sandboxes.wait('s'), sandboxes.wait('s')];
			t.true('state' in await Promise.race([...waiting, sandboxes.status('s', false)]), 'nobody is told too early');
			await sandboxes.stop('s', 0);
			const exits = [...await Promise.all(waiting), await sandboxes.wait('s')];
			t.deepEqual(new Set(exits.map(({exitStatus, exitedAt}) => `${exitStatus} ${exitedAt.toISOString()}`)).size, 1);
			await t.throwsAsync(sandboxes.wait('s', AbortSignal.abort()), {code: 'CANCELLED'});
			await sandboxes.shutdown('s');
		});
	}
	if (supports.singleStart) {
		story('it is started once', async (t, stage, sandboxes) => {
			await sandboxes.create({...rest, id: 's', runtime: stage.runtime});
			await sandboxes.start('s');
			await t.throwsAsync(sandboxes.start('s'), {code: 'FAILED_PRECONDITION'});
			await sandboxes.shutdown('s');
		});
	}
}
