import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {Any} from '../../api/gen/google/protobuf/any.ts';
import {BootstrapParams, BootstrapResult, LogLevel} from '../../api/gen/runtime/bootstrap/v1/bootstrap.ts';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../lib/ttrpc/typed-service.ts';
import {taskV2, taskV3} from '../../plugins/shim/protocol/task-definition.ts';
import {until} from '../helpers/until.ts';

const binary = path.join(import.meta.dirname, '../../bin/containerd-shim-keelson-v2');
const id = 'box';

interface Way {
	readonly flags?: boolean;
	readonly env?: Readonly<Record<string, string>>;
	readonly input?: (directory: string, namespace: string) => Uint8Array;
	readonly annotations?: Readonly<Record<string, string>>;
}

/** Starts the shim as a daemon of some age does; what it printed, and where. */
async function start(t: ExecutionContext, {flags = true, env = {}, input, annotations = {}}: Way): Promise<{output: Buffer; directory: string; bundle: string; namespace: string}> {
	const directory = await mkdtemp(path.join(tmpdir(), 'k-way-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	const namespace = `way-${path.basename(directory).slice(-6)}`.replaceAll(/[^a-z\d-]/gi, 'x');
	const bundle = path.join(directory, id);
	await mkdir(bundle);
	await writeFile(path.join(bundle, 'config.json'), JSON.stringify({ociVersion: '1.0.2', root: {path: 'rootfs'}, annotations}));
	const named = flags ? ['-namespace', namespace, '-address', path.join(directory, 'd.sock'), '-publish-binary', '/bin/true', '-id', id] : [];
	const child = spawn(binary, [...named, 'start'], {cwd: bundle, stdio: ['pipe', 'pipe', 'inherit'], env: {PATH: process.env['PATH'], ...env}, timeout: 30_000});
	child.stdin.end(input?.(directory, namespace));
	const [chunks, [code]] = await Promise.all([child.stdout.toArray() as Promise<Buffer[]>, once(child, 'close')]);
	t.is(code, 0);
	return {output: Buffer.concat(chunks), directory, bundle, namespace};
}

/** Asks the shim for its pid, by the task protocol's version that it named, then ends it. */
async function useAndEnd(t: ExecutionContext, address: string, version: number): Promise<void> {
	const socket = address.replace(/^unix:\/\//, '');
	const client = await connectTtrpc(socket, {signal: AbortSignal.timeout(10_000)});
	const task = ttrpcClientFor(version === 3 ? taskV3 : taskV2, client);
	const {shimPid} = await task.connect({id}, {timeoutMs: 10_000});
	t.true(shimPid > 1);
	// It may close the connection before it answers.
	await task.shutdown({id, now: false}, {timeoutMs: 10_000}).catch((error: unknown) => t.like(error, {code: 'UNAVAILABLE'}));
	await client[Symbol.asyncDispose]();
	await until('the shim to end', async () => readFile(`/proc/${shimPid}/cmdline`, 'utf8').then(line => line === '', () => true));
	await t.throwsAsync(connectTtrpc(socket), {code: 'NOT_FOUND'});
}

const params = (extra: Partial<BootstrapParams> = {}) => (directory: string, namespace: string): Uint8Array => BootstrapParams.encode(BootstrapParams.fromPartial({
	instanceId: id, namespace, logLevel: LogLevel.LOG_LEVEL_INFO, containerdVersion: '2.3.0', containerdGrpcAddress: path.join(directory, 'd.sock'),
	containerdTtrpcAddress: path.join(directory, 'd.sock.ttrpc'), containerdBinary: '/usr/bin/containerd', ...extra,
})).finish();

test('flags and no environment, as containerd 1.6 and older have it: a bare address, also in the bundle', async t => {
	const {output, bundle} = await start(t, {});
	const address = output.toString();
	t.regex(address, /^unix:\/\/\/run\/containerd\/s\/[\da-f]{64}$/);
	t.is(await readFile(path.join(bundle, 'address'), 'utf8'), address);
	await useAndEnd(t, address, 2);
});

test('MAX_SHIM_VERSION=2, as containerd 1.7 to 2.2 have it: JSON, and the second task protocol', async t => {
	const {output, bundle} = await start(t, {env: {MAX_SHIM_VERSION: '2', GOMAXPROCS: '2'}});
	const {version, address, protocol} = JSON.parse(output.toString()) as {version: number; address: string; protocol: string};
	t.deepEqual([version, protocol], [2, 'ttrpc']);
	t.is(await readFile(path.join(bundle, 'address'), 'utf8'), address);
	await useAndEnd(t, address, version);
});

test('the runtime\'s options on standard input are no parameters, though they can be decoded as such', async t => {
	const value = Options.encode(Options.fromPartial({binaryName: 'runc'})).finish();
	const input = Any.encode({typeUrl: 'containerd.runc.v1.Options', value}).finish();
	t.is(BootstrapParams.decode(input).instanceId, 'containerd.runc.v1.Options');
	const {output} = await start(t, {env: {MAX_SHIM_VERSION: '3'}, input: () => input});
	const {version, address} = JSON.parse(output.toString()) as {version: number; address: string};
	t.is(version, 3);
	await useAndEnd(t, address, version);
});

test('parameters on standard input, as containerd 2.3 has them: a BootstrapResult, and the third task protocol', async t => {
	const {output, bundle} = await start(t, {env: {MAX_SHIM_VERSION: '2'}, input: params()});
	const {version, address, protocol, capabilities} = BootstrapResult.decode(output);
	t.deepEqual([version, protocol, capabilities], [3, 'ttrpc', []]);
	await t.throwsAsync(readFile(path.join(bundle, 'address')), {code: 'ENOENT'});
	await useAndEnd(t, address, version);
});

test('parameters alone suffice, and say where the socket is', async t => {
	const {output, directory} = await start(t, {flags: false, input: (at, namespace) => params({socketDir: path.join(at, 's')})(at, namespace)});
	const {version, address} = BootstrapResult.decode(output);
	t.is(path.dirname(address), `unix://${path.join(directory, 's')}`);
	await useAndEnd(t, address, version);
});

test('two containers of a group are answered with one shim', async t => {
	const annotations = {'io.containerd.runc.v2.group': 'pod'};
	const first = await start(t, {annotations});
	const alone = await start(t, {});
	t.not(first.output.toString(), alone.output.toString());
	const child = spawn(binary, ['-namespace', first.namespace, '-address', path.join(first.directory, 'd.sock'), '-id', 'other', 'start'], {cwd: first.bundle, stdio: ['ignore', 'pipe', 'inherit']});
	const chunks = await child.stdout.toArray() as Buffer[];
	t.is(Buffer.concat(chunks).toString(), first.output.toString());
	await useAndEnd(t, first.output.toString(), 2);
	await useAndEnd(t, alone.output.toString(), 2);
});

test('a start that names no container is refused', async t => {
	const child = spawn(binary, ['start'], {stdio: ['ignore', 'pipe', 'pipe']});
	const [stderr, [code]] = await Promise.all([child.stderr.toArray() as Promise<Buffer[]>, once(child, 'close')]);
	t.not(code, 0);
	t.regex(Buffer.concat(stderr).toString(), /namespace: identifier must not be empty/);
});
