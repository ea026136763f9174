import {access, readdir, readFile, rmdir, stat} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {Any} from '../../api/gen/google/protobuf/any.ts';
import {HealthCheckResponse_ServingStatus as ServingStatus, HealthDefinition} from '../../api/gen/grpc/health/v1/health.ts';
import {connect} from '../../client/index.ts';
import {accepts} from '../../lib/listen/accepts.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {Background} from '../helpers/background.ts';
import {command, succeed} from '../helpers/command.ts';
import {Daemon} from '../helpers/daemon.ts';
import {Registry} from '../helpers/registry.ts';
import {programsOf, releases} from '../helpers/releases.ts';
import {standIn} from '../helpers/stand-in.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {until} from '../helpers/until.ts';

const cgroup = `keelson-stand-in-${process.pid}`;
const hierarchies = async (): Promise<readonly string[]> => (await readFile('/proc/mounts', 'utf8')).split('\n')
	.map(line => line.split(' ')).filter(([, , type]) => type === 'cgroup' || type === 'cgroup2').map(([, point]) => point ?? '');

let daemon: Daemon;
test.before(async () => {
	daemon = await Daemon.start(standIn({config: `version = 2\noom_score = 7\n[cgroup]\npath = "/${cgroup}"\n`}));
});
test.after.always(async () => {
	await daemon?.[Symbol.asyncDispose]();
	for (const hierarchy of await hierarchies()) {
		await rmdir(path.join(hierarchy, cgroup)).catch(() => undefined);
	}
});

async function program(...args: readonly string[]) {
	return command(path.join(daemon.places.directory, 'stand-in/containerd'), args);
}

test.serial('it answers to containerd\'s flags, with one dash as well', async t => {
	for (const flag of ['--version', '-v', '-version']) {
		t.regex((await program(flag)).stdout, /^\S+ keelson \d+\.\d+\.\d+/);
	}
	const {stdout} = await program('-config', '/dev/null', '-address=/x.sock', '--root=/r', '-state', '/s', '-l', 'warn', 'config', 'dump');
	t.regex(stdout, /root = "\/r"\nstate = "\/s"[^]*level = "warn"[^]*address = "\/x\.sock"/);
	t.is((await program('nonsense')).code, 1);
});

test.serial('health says SERVING, and no plugin shows an error, within 2 s of its start', async t => {
	const {address} = daemon.places;
	let fastest = Infinity;
	// One of a few starts has to do, and time in which its main thread could not run for others does not count: a machine that is busy is no failure.
	for (let attempt = 0; attempt < 4 && fastest > 2000; attempt++) {
		await daemon.stop();
		const start = performance.now();
		const starting = daemon.start();
		// A client that came too early would wait a second before it tries again.
		await until('the socket to be served', async () => accepts(address), {timeoutMs: 30_000, everyMs: 5});
		using probe = new Connection({address});
		await until('health to answer', async () => (await probe.unary(HealthDefinition.fullName, HealthDefinition.methods.check, {service: ''}).catch(() => undefined))?.status === ServingStatus.SERVING, {timeoutMs: 30_000, everyMs: 5});
		using client = connect(address);
		const {plugins} = await client.services.introspection.plugins({});
		const {pid} = await client.services.introspection.server({});
		const took = performance.now() - start;
		await starting;
		const [, waitedNs = 0] = (await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ').map(Number);
		fastest = Math.min(fastest, took - waitedNs / 1e6);
		t.true(plugins.length > 20);
		t.deepEqual(plugins.filter(({initErr}) => initErr !== undefined && !initErr.message.includes('skip plugin')), []);
	}
	t.true(fastest < 2000, `${fastest} ms`);
});

test.serial('`publish` sends what shims hand it, as each containerd\'s does to us, and ours to it', async t => {
	using client = connect(daemon.places.address, {namespace: 'told'});
	const {promise, resolve} = Promise.withResolvers<void>();
	const heard: string[] = [];
	const stop = new AbortController();
	const listening = (async () => {
		for await (const {topic, namespace, type, body} of client.events({filters: ['topic~=^/told/'], signal: stop.signal})) {
			heard.push(`${namespace} ${topic} ${type} ${Buffer.from(body).toString()}`);
			resolve();
		}
	})();
	const input = Buffer.from(Any.encode({typeUrl: 'example.Told', value: Buffer.from('body')}).finish());
	const publishers = [path.join(daemon.places.directory, 'stand-in/containerd'), ...releases.map(release => path.join(programsOf(release), 'containerd'))];
	// What is published before the subscription stands is not told.
	await until('the subscription', async () => {
		await client.services.events.publish({topic: '/told/probe', event: Any.fromPartial({typeUrl: 'x'})});
		return Promise.race([promise.then(() => true), new Promise<false>(again => setTimeout(again, 50, false))]);
	});
	for (const [index, file] of publishers.entries()) {
		await succeed(file, ['--address', daemon.places.address, 'publish', '--topic', `/told/${index}`, '--namespace', 'told'], {input});
	}
	await until('all events', () => heard.some(line => line.includes(`/told/${publishers.length - 1} `)));
	t.deepEqual(heard.filter(line => !line.includes('/told/probe')), publishers.map((_, index) => `told /told/${index} example.Told body`));
	stop.abort();
	await listening;

	for (const args of [['publish', '--namespace', 'told'], ['publish', '--topic', '/told/none']]) {
		for (const file of publishers) {
			t.is((await command(file, ['--address', daemon.places.address, ...args], {input})).code, 1, args.join(' '));
		}
	}
	const {code, stderr} = await command(publishers[0] ?? '', ['--address', daemon.places.address, 'publish', '--topic', '/told/bad', '--namespace', 'told'], {input: 'no message'});
	t.is(code, 1);
	t.regex(stderr, /^keelsond: an event of 10 bytes is no google\.protobuf\.Any\n$/);
});

test.serial('directories are where containerd has them', async t => {
	await using registry = await Registry.start();
	const images = await pushTestImages(registry);
	const ctr = daemon.ctr('1.6', daemon.namespace('layout'));
	await ctr.ok('images', 'pull', '--plain-http', images.busybox);
	await using running = new Background(ctr.program, ['--address', daemon.places.address, '--namespace', ctr.namespace, 'run', '--rm', images.busybox, 'box', 'sleep', '100']);
	const {root, state} = daemon.places;
	const bundle = path.join(state, 'io.containerd.runtime.v2.task', ctr.namespace, 'box');
	await until('the task to run', async () => (await ctr.run('tasks', 'ls')).stdout.includes('RUNNING'));
	const names = await readdir(bundle);
	for (const name of ['config.json', 'rootfs', 'work', 'options.json', 'runtime', 'shim-binary-path', 'bootstrap.json', 'log', 'init.pid']) {
		t.true(names.includes(name), `${name} of ${names.join(' ')}`);
	}
	t.true((await stat(path.join(bundle, 'log'))).isFIFO());
	const shim = await readFile(path.join(bundle, 'shim-binary-path'), 'utf8');
	await access(shim);
	const {stdout} = await ctr.run('content', 'ls', '-q');
	for (const digest of stdout.trim().split('\n')) {
		await access(path.join(root, 'io.containerd.content.v1.content/blobs', ...digest.split(':')));
	}
	await access(path.join(root, 'io.containerd.snapshotter.v1.overlayfs/snapshots'));
	await ctr.run('tasks', 'kill', '-s', 'KILL', 'box');
	t.is(await running.exit(), 137);
});

test.serial('the daemon has the score, and is in the control group that are configured, which was made for it', async t => {
	t.is(await readFile(`/proc/${daemon.pid}/oom_score_adj`, 'utf8'), '7\n');
	for (const hierarchy of await hierarchies()) {
		t.true((await readFile(path.join(hierarchy, cgroup, 'cgroup.procs'), 'utf8')).split('\n').includes(String(daemon.pid)), hierarchy);
	}
});
