import {mkdtemp, readdir, readFile, readlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {connect} from '../../client/index.ts';
import {command, succeed} from '../helpers/command.ts';
import {Registry} from '../helpers/registry.ts';
import {dockerPrograms} from '../helpers/releases.ts';
import {Service} from '../helpers/service.ts';
import {writeStandIn} from '../helpers/stand-in.ts';
import {sweep} from '../helpers/sweep.ts';
import {pushTestImages} from '../helpers/test-images.ts';
import {until} from '../helpers/until.ts';

/** The processes that any thread of `pid` started (proc_pid_task(5)). */
async function childrenOf(pid: number): Promise<readonly number[]> {
	const threads = await readdir(`/proc/${pid}/task`);
	const lists = await Promise.all(threads.map(async thread => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')));
	return lists.flatMap(list => list.split(' ')).filter(Boolean).map(Number);
}

for (const release of ['26', '28'] as const) {
	test.serial(`dockerd ${release} starts it as its containerd, runs containers by it, and starts it again`, async t => {
		t.timeout(120_000);
		const {dockerd, docker} = dockerPrograms(release);
		await using scope = new AsyncDisposableStack();
		const registry = scope.use(await Registry.start());
		const images = await pushTestImages(registry);
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-docker-'));
		scope.defer(async () => sweep(directory, new Set(['moby'])));
		const folder = await writeStandIn(directory);
		const address = `unix://${path.join(directory, 'docker.sock')}`;
		const service = scope.use(await Service.start(dockerd, [
			'--data-root', path.join(directory, 'data'), '--exec-root', path.join(directory, 'exec'), '--pidfile', path.join(directory, 'pid'), '-H', address,
			'--bridge', 'none', '--iptables=false', '--ip6tables=false', '--userland-proxy=false', '--storage-driver', 'vfs',
		], {
			log: path.join(directory, 'log'), readyMs: 60_000, env: {PATH: `${folder}:${process.env['PATH']}`},
			isReady: async () => (await command(docker, ['-H', address, 'version'])).code === 0,
		}));
		const run = async (...args: readonly string[]) => command(docker, ['-H', address, ...args], {timeoutMs: 60_000});
		const ok = async (...args: readonly string[]): Promise<string> => (await succeed(docker, ['-H', address, ...args], {timeoutMs: 60_000})).stdout.trim();

		const [ours] = await childrenOf(service.pid);
		t.regex(await readFile(`/proc/${ours}/cmdline`, 'utf8'), /keelsond\.[jt]s\0--config\0.*containerd\.toml/);
		const version = JSON.parse(await ok('version', '--format', '{{json .Server.Components}}')) as {Name: string; Version: string}[];
		using client = connect(path.join(directory, 'exec/containerd/containerd.sock'), {namespace: 'moby'});
		t.is(version.find(({Name}) => Name === 'containerd')?.Version, (await client.services.version.version({})).version);

		await ok('pull', images.busybox);
		t.is(await ok('run', '--rm', '--network', 'none', images.busybox, 'echo', 'hello'), 'hello');
		t.is((await run('run', '--rm', '--network', 'none', images.busybox, 'sh', '-c', 'exit 7')).code, 7);
		const lasting = await ok('run', '-d', '--network', 'none', '--memory', '64m', images.busybox, 'sleep', '1000');
		t.is(await ok('exec', lasting, 'echo', 'inside'), 'inside');
		t.is((await run('run', '--rm', '--network', 'none', images.busybox, '/no/such')).code, 127);

		process.kill(ours ?? -1, 'SIGKILL');
		const next = await until('dockerd to start it again', async () => (await childrenOf(service.pid)).find(pid => pid !== ours), {timeoutMs: 30_000});
		await until('it to be keelsond', async () => await readlink(`/proc/${next}/exe`) === process.execPath);
		await until('the container to be known again', async () => (await run('exec', lasting, 'echo', 'still')).stdout === 'still\n', {timeoutMs: 30_000, everyMs: 200});
		t.is(await ok('run', '--rm', '--network', 'none', images.busybox, 'echo', 'again'), 'again');
		t.is(await ok('stop', '-t', '0', lasting), lasting);
		await ok('rm', lasting);
		t.true(await service.stop(20_000));
	});
}
