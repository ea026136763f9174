import {existsSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import anyTest, {type TestFn} from 'ava';
import type {OciRuntime} from '../../contracts/oci-runtime/oci-runtime.ts';
import {startByFifo} from '../../plugins/runtime-runc/exec-fifo.ts';
import {Reaper} from '../../plugins/shim/process/reaper.ts';
import {runtimePrograms} from '../helpers/releases.ts';
import {until} from '../helpers/until.ts';
import {crunProgram} from './crun-program.ts';
import {CommandLineStage} from './runtime-stage.ts';

const test = anyTest.serial as TestFn;
const reaper = new Reaper();

async function created(stage: CommandLineStage, args: readonly string[]): Promise<{runtime: OciRuntime; id: string; pid: number; directory: string}> {
	const {id, bundle, pidFile} = await stage.bundle(args);
	const pid = await stage.runtime.create({id, bundle, pidFile, stdio: {stdin: null, stdout: null, stderr: null}});
	return {runtime: stage.runtime, id, pid, directory: path.join(stage.root, id)};
}

for (const program of ['runc', path.join(runtimePrograms, 'runc')]) {
	const name = path.isAbsolute(program) ? 'a newer runc' : 'runc';

	test(`${name}: a created container is let go without the program, and runs in the program's eyes`, async t => {
		await using stage = await CommandLineStage.open(program, reaper);
		const {runtime, id, pid, directory} = await created(stage, ['/bin/sh', '-c', 'sleep 1000']);
		t.is((await runtime.state(id)).status, 'created');
		t.true(await startByFifo(directory));
		t.is((await runtime.state(id)).status, 'running');
		t.false(existsSync(path.join(directory, 'exec.fifo')));
		t.false(await startByFifo(directory), 'a second time');
		await t.throwsAsync(runtime.start(id), {message: /already running/});
		await runtime.kill(id, 9);
		t.is(await stage.exit(pid), 137);
		await runtime.delete(id);
	});

	test(`${name}: one that was let go by a shim that died before it removed the FIFO counts as started`, async t => {
		await using stage = await CommandLineStage.open(program, reaper);
		const {runtime, id, pid, directory} = await created(stage, ['/bin/sleep', '1000']);
		const fifo = path.join(directory, 'exec.fifo');
		t.is(await readFile(fifo, 'utf8'), '0');
		await until('the container\'s program', async () => (await readFile(`/proc/${pid}/cmdline`, 'utf8')).startsWith('/bin/sleep'));
		t.is((await runtime.state(id)).status, 'created');
		await runtime.start(id, AbortSignal.timeout(30_000));
		t.is((await runtime.state(id)).status, 'running');
		await runtime.kill(id, 9);
		t.is(await stage.exit(pid), 137);
		await runtime.delete(id);
	});

	test(`${name}: one that was killed before its start is left to the program's own words`, async t => {
		await using stage = await CommandLineStage.open(program, reaper);
		const {runtime, id, pid, directory} = await created(stage, ['/bin/sleep', '1000']);
		process.kill(pid, 'SIGKILL');
		await stage.exit(pid);
		t.false(await startByFifo(directory));
		t.true(existsSync(path.join(directory, 'exec.fifo')));
		await t.throwsAsync(runtime.start(id), {message: /stopped|already dead/});
		await runtime.delete(id);
	});
}

test('crun is asked itself: its FIFO works the other way round', async t => {
	await using crun = await crunProgram('crun');
	await using stage = await CommandLineStage.open(crun.path, reaper);
	const {runtime, id, pid, directory} = await created(stage, ['/bin/sleep', '1000']);
	t.false(await startByFifo(directory));
	t.is((await runtime.state(id)).status, 'created');
	await runtime.start(id);
	await runtime.kill(id, 9);
	t.is(await stage.exit(pid), 137);
	await runtime.delete(id);
});

test('a directory in which no container is says nothing', async t => {
	t.false(await startByFifo('/proc/self/nothing'));
});
