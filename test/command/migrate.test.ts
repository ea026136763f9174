import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {parse} from 'smol-toml';
import {command, succeed} from '../helpers/command.ts';
import {keelsondPath} from '../helpers/keelson-program.ts';

const fixtures = path.join(import.meta.dirname, '../fixtures/containerd-config');

type Table = Readonly<Record<string, unknown>>;

let directory: string;
test.before(async () => {
	directory = await mkdtemp(path.join(tmpdir(), 'keelson-migrate-'));
});
test.after.always(async () => rm(directory, {recursive: true, force: true}));

async function migrate(name: string, text: string): Promise<string> {
	const file = path.join(directory, name);
	await writeFile(file, text);
	return (await succeed(keelsondPath, ['--config', file, 'config', 'migrate'])).stdout;
}

test('`config migrate` of what `config default` prints, prints it byte for byte', async t => {
	const standard = (await succeed(keelsondPath, ['config', 'default'])).stdout;
	t.true(standard.length > 1000);
	t.is(await migrate('default.toml', standard), standard);
});

for (const release of ['1.6', '1.7', '2.1']) {
	test(`the configuration of containerd ${release} is raised to version 4 with all that it says, and then stays as it is`, async t => {
		const {stdout} = await succeed(keelsondPath, ['--config', path.join(fixtures, `${release}.toml`), 'config', 'migrate']);
		const {version, root, plugins, grpc, ttrpc, metrics} = parse(stdout) as {version: number; root: string; plugins: Record<string, Table>; grpc?: unknown; ttrpc?: unknown; metrics?: unknown};
		t.deepEqual({version, root, grpc, ttrpc, metrics}, {version: 4, root: '/var/lib/containerd', grpc: undefined, ttrpc: undefined, metrics: undefined});
		t.like(plugins['io.containerd.server.v1.grpc'], {address: '/run/containerd/containerd.sock', uid: 0, max_recv_message_size: 16_777_216});
		t.like(plugins['io.containerd.server.v1.grpc-tcp'], {address: '', tls_ca: '', tls_cert: '', tls_key: ''});
		t.is(plugins['io.containerd.internal.v1.opt']?.['path'], '/opt/containerd');
		t.is(plugins['io.containerd.monitor.container.v1.restart']?.['interval'], '10s');
		t.true('io.containerd.snapshotter.v1.btrfs' in plugins);
		t.is(await migrate(`${release}.toml`, stdout), stdout);
	});
}

test('keys of version 1 find their places, none is lost, and what is imported stays apart', async t => {
	const text = await migrate('one.toml', `version = 1
root = "/x"
oom_score = -5
disabled_plugins = ["cri", "restart"]
imports = ["/nowhere/*.toml"]
[grpc]
address = "/run/x.sock"
uid = 5
gid = 6
tcp_address = "127.0.0.1:1"
tcp_tls_cert = "/cert"
[debug]
address = "/run/d.sock"
level = "debug"
[metrics]
address = "127.0.0.1:1338"
grpc_histogram = true
[cgroup]
path = "/group"
[plugins.scheduler]
startup_delay = "1s"
[plugins.bolt]
content_sharing_policy = "isolated"
nobodys = 3
[plugins.cri]
stream_server_port = "1"
[plugins.diff-service]
default = ["walking"]
`);
	const {plugins, ...top} = parse(text) as Table & {plugins: Record<string, Table>};
	t.like(top, {
		version: 4, root: '/x', oom_score: -5, imports: ['/nowhere/*.toml'], cgroup: {path: '/group'}, debug: {level: 'debug', format: '', log_trace_id: false},
		disabled_plugins: ['io.containerd.grpc.v1.cri', 'io.containerd.monitor.container.v1.restart'],
	});
	t.like(plugins, {
		'io.containerd.server.v1.grpc': {address: '/run/x.sock', uid: 5, gid: 6},
		'io.containerd.server.v1.grpc-tcp': {address: '127.0.0.1:1', tls_cert: '/cert'},
		'io.containerd.server.v1.ttrpc': {address: '', uid: 5, gid: 6},
		'io.containerd.server.v1.debug': {address: '/run/d.sock', uid: 0, gid: 0},
		'io.containerd.server.v1.metrics': {address: '127.0.0.1:1338'},
		'io.containerd.metrics.v1.grpc-prometheus': {grpc_histogram: true},
		'io.containerd.gc.v1.scheduler': {startup_delay: '1s', mutation_threshold: 100},
		'io.containerd.metadata.v1.sqlite': {content_sharing_policy: 'isolated'},
		'io.containerd.metadata.v1.bolt': {nobodys: 3},
		'io.containerd.grpc.v1.cri': {stream_server_port: '1'},
	});
	t.false('*.scheduler' in plugins);
	t.is(await migrate('four.toml', text), text);
});

test('a file of a later version, and none, are errors', async t => {
	const file = path.join(directory, 'later.toml');
	await writeFile(file, 'version = 5\n');
	for (const each of [file, '/nowhere.toml']) {
		const {code, stderr} = await command(keelsondPath, ['--config', each, 'config', 'migrate']);
		t.is(code, 1);
		t.true(stderr.includes(each));
	}
});
