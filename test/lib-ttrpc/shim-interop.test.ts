import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync, readFileSync} from 'node:fs';
import {access, mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {makeFifo} from '../../lib/sys/file-system.ts';
import {becomeSubreaper, peekEndedChild, reap} from '../../lib/sys/process.ts';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {FieldWriter, readFields} from '../../lib/ttrpc/wire-format.ts';

const shim = '/usr/bin/containerd-shim-runc-v2';
const service = 'containerd.task.v2.Task';

test('a shim of containerd answers this client, fails by its codes, and shuts down', async t => {
	await access(shim);
	// So that the shim, whose parent ends at once, does not stay as somebody's zombie.
	becomeSubreaper();
	await using stack = new AsyncDisposableStack();
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-ttrpc-shim-'));
	stack.defer(async () => rm(directory, {recursive: true, force: true}));
	const id = 'interop';
	const bundle = path.join(directory, id);
	await mkdir(path.join(bundle, 'rootfs'), {recursive: true});
	await writeFile(path.join(bundle, 'config.json'), JSON.stringify({ociVersion: '1.0.2', root: {path: 'rootfs'}, process: {args: ['/none'], cwd: '/'}}));

	// The shim ends when it finds no reader of its log; a few lines of it fit into the pipe.
	const log = path.join(bundle, 'log');
	makeFifo(log, 0o600);
	const reader = openSync(log, 'r+');
	stack.defer(() => closeSync(reader));

	const namespace = `keelson-${process.pid}`;
	stack.defer(async () => endShims(namespace));
	const args = ['-namespace', namespace, '-address', path.join(directory, 'daemon.sock'), '-publish-binary', '/bin/true', '-id', id];
	const answer = openSync(path.join(directory, 'answer'), 'w+');
	stack.defer(() => closeSync(answer));
	// Not a pipe: the shim that stays holds the standard error of the one that starts it.
	const starter = spawn(shim, [...args, 'start'], {cwd: bundle, timeout: 20_000, stdio: ['ignore', answer, 'ignore'], env: {...process.env, MAX_SHIM_VERSION: '2'}});
	t.deepEqual(await once(starter, 'exit'), [0, null]);
	const address = readFileSync(path.join(directory, 'answer'), 'utf8').trim().replace(/^unix:\/\//, '');
	t.true(address.startsWith('/run/containerd/s/'), address);
	stack.defer(async () => rm(address, {force: true}));

	const client = stack.use(await connectTtrpc(address, {signal: AbortSignal.timeout(10_000)}));
	const metadata = {'containerd-namespace-ttrpc': namespace};
	const call = async (method: string, payload: Uint8Array = new FieldWriter().string(1, id).finish()): Promise<Uint8Array> =>
		client.unary({service, method, payload, metadata, timeoutMs: 20_000});

	// message ConnectResponse { uint32 shim_pid = 1; uint32 task_pid = 2; string version = 3; }
	const shimPid = [...readFields(await call('Connect'))].flatMap(field => field.number === 1 && 'integer' in field ? [Number(field.integer)] : [])[0] ?? 0;
	t.true(shimPid > 1);

	await t.throwsAsync(call('State'), {code: 'NOT_FOUND'});
	await t.throwsAsync(call('NoSuchMethod'), {code: 'UNIMPLEMENTED'});
	await t.throwsAsync(client.unary({service: 'no.such.Service', method: 'State', payload: new Uint8Array(0), metadata, timeoutMs: 20_000}), {code: 'UNIMPLEMENTED'});
	const many = await Promise.all(Array.from({length: 50}, async () => call('Connect')));
	t.is(many.length, 50);

	// The shim ends before it answers, or after: both are right.
	await call('Shutdown').catch((error: unknown) => t.like(error, {code: 'UNAVAILABLE'}));
	await Promise.race([client.closed, sleep(30_000, undefined, {ref: false})]);
	t.true(client.isClosed);
});

/** By its namespace, which is this test's alone, so that it is found also when it has not told its pid. */
async function endShims(namespace: string): Promise<void> {
	for (const entry of await readdir('/proc')) {
		const command = /^\d+$/.test(entry) ? await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '') : '';
		if (command.includes(`\0-namespace\0${namespace}\0`)) {
			process.kill(Number(entry), 'SIGKILL');
		}
	}
	for (let wait = 0; wait < 100; wait++) {
		const ended = peekEndedChild();
		if (ended !== undefined) {
			reap(ended.pid);
			return;
		}
		await sleep(20);
	}
}
