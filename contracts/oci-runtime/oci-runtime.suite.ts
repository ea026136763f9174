import type {ExecutionContext, TestFn} from 'ava';
import type {OciRuntime, OciRuntimes} from './oci-runtime.ts';

/** What a test needs around a runtime. */
export interface RuntimeStage extends AsyncDisposable {
	readonly runtimes: OciRuntimes;
	readonly runtime: OciRuntime;
	/** Makes a bundle whose root file system has /bin/sh; resolves with its id and path. */
	bundle(args: readonly string[]): Promise<{readonly id: string; readonly bundle: string; readonly pidFile: string; readonly processFile: string}>;
	/** Resolves with the exit status of a process that this one is the parent of by now. */
	exit(pid: number): Promise<number>;
}

const stdio = {stdin: null, stdout: null, stderr: null};

/** Every OCI runtime passes this. */
export function ociRuntimeSuite(test: TestFn, {name, open}: {readonly name: string; readonly open: () => Promise<RuntimeStage>}): void {
	const story = (title: string, tell: (t: ExecutionContext, stage: RuntimeStage) => Promise<void>): void => {
		test(`${name}: ${title}`, async t => {
			await using stage = await open();
			await tell(t, stage);
		});
	};

	story('a container is created, started, and deleted when it has ended', async (t, {runtime, bundle: make, exit}) => {
		const {id, bundle, pidFile} = await make(['/bin/sh', '-c', 'exit 6']);
		const pid = await runtime.create({id, bundle, pidFile, stdio});
		t.like(await runtime.state(id), {id, pid, status: 'created', bundle});
		await runtime.start(id);
		t.is(await exit(pid), 6);
		t.is((await runtime.state(id)).status, 'stopped');
		await runtime.delete(id);
		await t.throwsAsync(runtime.state(id), {code: 'NOT_FOUND'});
	});

	story('what cannot be executed is said in the runtime\'s own words', async (t, {runtime, bundle: make}) => {
		const {id, bundle, pidFile} = await make(['nosuch']);
		await t.throwsAsync(runtime.create({id, bundle, pidFile, stdio}), {code: 'UNKNOWN', message: /nosuch.*not found in \$PATH/});
		await t.throwsAsync(runtime.state(id), {code: 'NOT_FOUND'});
	});

	story('an exec runs beside it, and both can be killed', async (t, {runtime, bundle: make, exit}) => {
		const {id, bundle, pidFile, processFile} = await make(['/bin/sleep', '100']);
		const pid = await runtime.create({id, bundle, pidFile, stdio});
		await runtime.start(id);
		const exec = await runtime.exec({id, processFile, pidFile: `${pidFile}.exec`, stdio});
		t.true((await runtime.ps(id)).includes(exec));
		await runtime.kill(id, 9, {all: true});
		t.is(await exit(exec), 137);
		t.is(await exit(pid), 137);
		await t.throwsAsync(runtime.kill(id, 9));
		await runtime.delete(id);
	});

	story('it is paused, resumed, limited, and deleted by force', async (t, {runtime, bundle: make, exit}) => {
		const {id, bundle, pidFile} = await make(['/bin/sleep', '100']);
		const pid = await runtime.create({id, bundle, pidFile, stdio});
		await runtime.start(id);
		await runtime.pause(id);
		t.is((await runtime.state(id)).status, 'paused');
		await runtime.resume(id);
		t.is((await runtime.state(id)).status, 'running');
		await runtime.update(id, Buffer.from(JSON.stringify({memory: {limit: 64 * 1024 * 1024}})));
		await t.throwsAsync(runtime.delete(id));
		await runtime.delete(id, {force: true});
		t.is(await exit(pid), 137);
		await t.throwsAsync(runtime.state(id), {code: 'NOT_FOUND'});
	});

	story('what is not there is NOT_FOUND, also when it is a binary', async (t, {runtime, runtimes}) => {
		await t.throwsAsync(runtime.start('nosuch'), {code: 'NOT_FOUND'});
		await t.throwsAsync(runtime.kill('nosuch', 9), {code: 'NOT_FOUND'});
		t.throws(() => runtimes.open({binary: 'nosuch-runtime', root: '/', log: '/', systemdCgroup: false}), {code: 'NOT_FOUND', message: /"nosuch-runtime"/});
	});

	story('features are a JSON document, or there are none', async (t, {runtime}) => {
		const features = await runtime.features();
		t.true(features === undefined || 'ociVersionMin' in (JSON.parse(Buffer.from(features).toString()) as object));
	});

	story('an aborted call ends', async (t, {runtime, bundle: make}) => {
		const {id, bundle, pidFile} = await make(['/bin/sleep', '100']);
		await t.throwsAsync(runtime.create({id, bundle, pidFile, stdio, signal: AbortSignal.abort()}));
	});
}
