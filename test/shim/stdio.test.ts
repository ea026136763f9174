import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {readdir, readFile, readlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import anyTest, {type TestFn} from 'ava';
import {FifoReader} from '../helpers/fifo-reader.ts';
import {until} from '../helpers/until.ts';
import {ShimStage} from './task-stage.ts';

const test = anyTest.serial as TestFn;
const none = {stdin: '', stdout: '', stderr: '', terminal: false, rootfs: []} as const;
const init = (containerId: string): {containerId: string; execId: string} => ({containerId, execId: ''});
/** Of an enlarged FIFO, whatever the system's own size is. */
const fifoBytes = 1024 * 1024;
/** More than any buffer on the way holds: 6.9 MB. */
const numbers = 1_000_000;

/** What `seq` prints, and its digest. */
function sequence(last: number): {readonly bytes: number; readonly sha256: string} {
	const hash = createHash('sha256');
	let bytes = 0;
	for (let from = 1; from <= last; from += 10_000) {
		const text = Array.from({length: Math.min(10_000, last - from + 1)}, (_, at) => `${from + at}\n`).join('');
		bytes += text.length;
		hash.update(text);
	}
	return {bytes, sha256: hash.digest('hex')};
}

async function start(stage: ShimStage, containerId: string, stdio: object): Promise<void> {
	const tasks = stage.manager.tasks(stage.namespace);
	await tasks.create({...none, containerId, ...stdio});
	await tasks.start(init(containerId));
}

/** Resolves when neither a container's init and its children nor its shim have written anything for half a second, and one of them a lot before. */
async function standstill(stage: ShimStage, containerId: string): Promise<void> {
	const {pid: init} = await stage.manager.tasks(stage.namespace).get({containerId, execId: ''});
	const shim = await stage.shimOf(containerId);
	let last = '';
	let still = 0;
	// The shim is asked nothing meanwhile: what it answers it writes.
	await until('the writers to stand still', async () => {
		const children = (await readFile(`/proc/${init}/task/${init}/children`, 'utf8')).split(' ').filter(word => word !== '');
		// Bytes that a process has written, proc_pid_io(5).
		const written = await Promise.all([shim, init, ...children].map(async pid => Number(/^wchar: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8').catch(() => ''))?.[1] ?? 0)));
		still = written.join() === last ? still + 1 : 0;
		last = written.join();
		return still >= 10 && Math.max(...written.slice(1)) > 65_536;
	}, {everyMs: 50});
}

/** Of each way that output goes: standard output directly, standard error through a copy, and both through copies. */
for (const [stream, mode] of [['stdout', 'direct'], ['stderr', 'direct'], ['stdout', 'copied'], ['stderr', 'copied']] as const) {
	test(`${stream}, ${mode}: while nobody reads, output waits in the FIFO and then its process; whoever comes and goes reads all in order`, async t => {
		await using stage = await ShimStage.open({stdio: mode});
		const tasks = stage.manager.tasks(stage.namespace);
		const containerId = await stage.container(['/bin/sh', '-c', `seq 1 ${numbers} >&${stream === 'stdout' ? 1 : 2}; echo over >/tmp/over`]);
		const fifo = stage.fifo();
		await start(stage, containerId, {[stream]: fifo});
		await standstill(stage, containerId);
		t.is((await tasks.get(init(containerId))).status, 'running');
		t.throws(() => readFileSync(path.join(stage.directory, `rootfs-${containerId}`, 'tmp/over')), {code: 'ENOENT'}, 'it waits for a reader');
		using reader = new FifoReader(fifo);
		const hash = createHash('sha256');
		let bytes = 0;
		const take = (chunk: Buffer): void => {
			hash.update(chunk);
			bytes += chunk.length;
		};
		const first = await until('something to read', () => reader.chunk());
		take(first);
		t.true(first.length > 65_536 && first.length <= fifoBytes, `${first.length} bytes waited in the FIFO`);
		for (let visit = 0; visit < 5; visit++) {
			reader.go();
			await sleep(20);
			reader.come();
			take(await until('more to read', () => reader.chunk(100_000)));
		}
		await reader.toEnd(take);
		t.deepEqual({bytes, sha256: hash.digest('hex')}, sequence(numbers));
		t.is((await tasks.wait(init(containerId))).exitStatus, 0);
		await tasks.delete(containerId);
		t.deepEqual(await stage.leftovers(containerId), []);
	});
}

test('what a slow client has not read when the process ends is passed on until the task is deleted', async t => {
	await using stage = await ShimStage.open({stdio: 'copied'});
	const tasks = stage.manager.tasks(stage.namespace);
	// More than the FIFO takes, and less than a pipe holds beside it: the process can end.
	const containerId = await stage.container(['/bin/sh', '-c', 'seq 1 170000']);
	const fifo = stage.fifo();
	await start(stage, containerId, {stdout: fifo});
	t.is((await tasks.wait(init(containerId))).exitStatus, 0);
	await sleep(3000);
	using reader = new FifoReader(fifo);
	const hash = createHash('sha256');
	await reader.toEnd(chunk => void hash.update(chunk));
	t.is(hash.digest('hex'), sequence(170_000).sha256);
	await tasks.delete(containerId);
});

test('an end is told once a reader that reads has read, and soon where nobody does', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const printed = 600 * 1024;
	const command = ['/bin/sh', '-c', `head -c ${printed} /dev/zero`];
	const read = await stage.container(command);
	const fifo = stage.fifo();
	using reader = new FifoReader(fifo);
	await start(stage, read, {stdout: fifo});
	let bytes = 0;
	let longestMs = 0;
	// Slowly: the process has long ended by then.
	const reading = (async () => {
		for (let lastMs = performance.now(); bytes < printed; lastMs = performance.now()) {
			await sleep(30);
			longestMs = Math.max(longestMs, performance.now() - lastMs);
			bytes += reader.chunk(32 * 1024)?.length ?? 0;
		}
	})();
	await tasks.wait(init(read));
	// One that takes nothing for a second is no reader, also where it was kept from its processor.
	t.true(bytes === printed || longestMs > 900, `${bytes} of ${printed} bytes, longest pause ${longestMs} ms`);
	await reading;
	await tasks.delete(read);

	const unread = await stage.container(command);
	await start(stage, unread, {stdout: stage.fifo()});
	const began = performance.now();
	await tasks.wait(init(unread));
	t.true(performance.now() - began < 9000, `${performance.now() - began} ms`);
	await tasks.delete(unread);
	t.deepEqual([...await stage.leftovers(read), ...await stage.leftovers(unread)], []);
});

test('buffered output never waits: the newest of it is kept, and what is dropped is counted', async t => {
	const stdioBufferBytes = 256 * 1024;
	await using stage = await ShimStage.open({stdio: 'buffered', stdioBufferBytes});
	const tasks = stage.manager.tasks(stage.namespace);
	const containerId = await stage.container(['/bin/sh', '-c', `seq 1 ${numbers}; echo the end`]);
	const fifo = stage.fifo();
	await start(stage, containerId, {stdout: fifo});
	t.is((await tasks.wait(init(containerId))).exitStatus, 0, 'with nobody who reads');
	const file = path.join(stage.bundle(containerId), 'stdio-dropped.json');
	const dropped = async (): Promise<number> => Object.values(JSON.parse(await readFile(file, 'utf8')) as Record<string, number>)[0] ?? 0;
	t.true(await dropped() > 0);
	t.true(stage.lines.some(line => line.includes(`bytes of stdout of ${containerId} were dropped`)), stage.lines.join('\n'));
	using reader = new FifoReader(fifo);
	let text = '';
	await reader.toEnd(chunk => {
		text += chunk.toString('latin1');
	});
	await until('the last count', async () => await dropped() + text.length === sequence(numbers).bytes + 'the end\n'.length);
	t.true(text.length <= fifoBytes + stdioBufferBytes + 65_536, `${text.length} bytes were kept`);
	t.true(text.endsWith(`${numbers}\nthe end\n`));
	await tasks.delete(containerId);
	t.deepEqual(await stage.leftovers(containerId), []);
});

test('a terminal that is buffered never waits either', async t => {
	await using stage = await ShimStage.open({stdio: 'buffered', stdioBufferBytes: 65_536});
	const tasks = stage.manager.tasks(stage.namespace);
	const containerId = await stage.container(['/bin/sh', '-c', 'seq 1 300000'], {terminal: true});
	const fifo = stage.fifo();
	await start(stage, containerId, {stdout: fifo, terminal: true});
	t.is((await tasks.wait(init(containerId))).exitStatus, 0);
	using reader = new FifoReader(fifo);
	let text = '';
	await reader.toEnd(chunk => {
		text += chunk.toString('latin1');
	});
	t.true(text.endsWith('300000\r\n'));
	await tasks.delete(containerId);
});

test('copied input reaches the process in order, and ends', async t => {
	await using stage = await ShimStage.open({stdio: 'copied'});
	const tasks = stage.manager.tasks(stage.namespace);
	const containerId = await stage.container(['/bin/sh', '-c', 'cat; echo over']);
	const [stdin, stdout] = [await stage.input(), await stage.output()];
	await start(stage, containerId, {stdin: stdin.path, stdout: stdout.path});
	const {pid} = await tasks.get(init(containerId));
	for (const fd of [0, 1]) {
		t.regex(await readlink(`/proc/${pid}/fd/${fd}`), /^pipe:/);
	}
	const text = Array.from({length: 20_000}, (_, at) => `line ${at}\n`).join('');
	stdin.write(text);
	stdin.end();
	await tasks.closeIo(init(containerId), true);
	t.is(await stdout.text(), `${text}over\n`);
	t.is((await tasks.wait(init(containerId))).exitStatus, 0);
	await tasks.delete(containerId);
});

test('a program of the second logging protocol says that it is ready; one that ends before fails the create', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const [ready, copy, failing] = ['ready', 'copy', 'failing'].map(name => path.join(stage.directory, name)) as [string, string, string];
	await writeFile(ready, `#!/bin/sh\nprintf x >&5; exec 5>&-\n{ cat <&3; cat <&4; } > ${copy}\n`, {mode: 0o755});
	await writeFile(failing, '#!/bin/sh\nexit 3\n', {mode: 0o755});
	const [first, second, third] = [await stage.container(['/bin/sh', '-c', 'echo out; echo err >&2']), await stage.container(['/bin/true']), await stage.container(['/bin/true'])];
	await start(stage, first, {stdout: `binary-v2://${ready}`, stderr: `binary-v2://${ready}`});
	await tasks.wait(init(first));
	await tasks.delete(first);
	t.is(await readFile(copy, 'utf8'), 'out\nerr\n');
	await t.throwsAsync(tasks.create({...none, containerId: second, stdout: `binary-v2://${failing}`, stderr: `binary-v2://${failing}`}), {message: /ended before it was ready/});
	t.deepEqual(await stage.leftovers(second), []);
	// To the first version the end of the descriptor is readiness, whoever closes it.
	await start(stage, third, {stdout: `binary://${failing}`, stderr: `binary://${failing}`});
	await tasks.wait(init(third));
	await tasks.delete(third);
});

test('a logging program takes what a terminal prints', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const [logger, copy] = ['logger', 'copy'].map(name => path.join(stage.directory, name)) as [string, string];
	await writeFile(logger, `#!/bin/sh\nexec 5>&-\ncat <&3 > ${copy}\n`, {mode: 0o755});
	const containerId = await stage.container(['/bin/sh', '-c', 'test -t 1 && echo on a terminal'], {terminal: true});
	await start(stage, containerId, {stdout: `binary://${logger}`, terminal: true});
	t.is((await tasks.wait(init(containerId))).exitStatus, 0);
	await tasks.delete(containerId);
	t.is(await readFile(copy, 'utf8'), 'on a terminal\r\n');
});

test('200 execs, resizes and clients that vanish leave the shim its descriptors', async t => {
	await using stage = await ShimStage.open();
	const tasks = stage.manager.tasks(stage.namespace);
	const containerId = await stage.container(['/bin/sh', '-c', 'while read line; do echo $line; done'], {terminal: true});
	const [stdin, stdout] = [await stage.input(), await stage.output()];
	await start(stage, containerId, {stdin: stdin.path, stdout: stdout.path, terminal: true});
	const shim = await stage.shimOf(containerId);
	const spec = (args: readonly string[], terminal: boolean): {typeUrl: string; value: Uint8Array} => ({
		typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Process',
		value: Buffer.from(JSON.stringify({args, cwd: '/', terminal, env: ['PATH=/bin'], user: {uid: 0, gid: 0}})),
	});
	const [fifo, input] = [stage.fifo(), stage.fifo()];
	const exec = async (execId: string, terminal: boolean): Promise<void> => {
		const key = {containerId, execId};
		const stdio = terminal ? {stdin: input, stdout: fifo, stderr: '', terminal} : {stdin: input, stdout: fifo, stderr: fifo, terminal};
		await tasks.exec({...key, ...stdio, spec: spec(['/bin/sh', '-c', 'echo out; echo err >&2'], terminal)});
		await tasks.start(key);
		// A client that comes in the middle and does not stay.
		using reader = new FifoReader(fifo);
		reader.read();
		t.is((await tasks.wait(key)).exitStatus, 0);
		await tasks.deleteProcess(key);
	};
	const descriptors = async (): Promise<number> => (await readdir(`/proc/${shim}/fd`)).length;
	for (let at = 0; at < 5; at++) {
		await exec(`warm-${at}`, at % 2 === 0);
	}
	const before = await descriptors();
	for (let from = 0; from < 200; from += 8) {
		await Promise.all(Array.from({length: 8}, async (_, at) => exec(`e${from + at}`, at % 4 === 0)));
		await Promise.all(Array.from({length: 8}, async (_, at) => tasks.resizePty(init(containerId), {width: 80 + at, height: 24})));
	}
	await until(`descriptors of the shim to be ${before} again`, async () => await descriptors() <= before);
	t.is((await tasks.get(init(containerId))).status, 'running');
	t.deepEqual((await readdir(stage.bundle(containerId))).filter(name => name.startsWith('exec-')), []);
	await tasks.kill(init(containerId), 9, false);
	await tasks.wait(init(containerId));
	stdin.end();
	await tasks.delete(containerId);
	t.deepEqual(await stage.leftovers(containerId), []);
});
