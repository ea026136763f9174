import {mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {command, succeed} from '../helpers/command.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {isSince} from '../helpers/releases.ts';
import {showSize} from '../helpers/terminal.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('run', {pairs: true});

scenario('a container runs, and its exit status comes back', async ({t, ctr, images}) => {
	t.is(await ctr.prints('run', '--rm', images.busybox, 'hello', 'echo', 'hello'), 'hello\n');
	t.like(await ctr.hears('run', '--rm', images.busybox, 'seven', 'sh', '-c', 'echo out; echo err >&2; read line; exit 7'), {code: 7, stdout: 'out\n', stderr: 'err\n'});
	t.is((await ctr.run('run', '--rm', images.busybox, 'killed', 'sh', '-c', 'kill -9 $$; sleep 1')).code, 0, 'a process 1 is not killed from inside');
	t.deepEqual(await ctr.lines('containers', 'ls', '-q'), []);
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), []);
	t.is((await ctr.rows('snapshots', 'ls')).length, 1);
}, {pairs: true});

scenario('the image says user, entrypoint, command, environment and directory', async ({t, images, fresh}) => {
	const ctr = fresh();
	await ctr.ok('images', 'pull', '--plain-http', images.configured);
	t.is(await ctr.prints('run', '--rm', images.configured, 'as-configured'), '1234\n4321\n4321 777\n/work\nteal\n');
	t.is(await ctr.prints('run', '--rm', '--env', 'COLOR=red', images.configured, 'other-color', '/bin/sh', '-c', 'echo $COLOR; cat mine'), 'red\nmine\n');
	await ctr.ok('images', 'rm', '--sync', images.configured);
});

scenario('what a process finds is the default of a container', async ({t, ctr, images, same}) => {
	const see = async (label: string, script: string) => same(label, await ctr.prints('run', '--rm', images.busybox, 'default', 'sh', '-c', script));
	await see('identity', 'id; grep -E "^(Cap|NoNewPrivs|Seccomp:|Groups)" /proc/self/status');
	await see('environment and directory', 'env | sort; pwd; umask; ulimit -a');
	await see('devices', 'ls -l /dev | cut -c1-43,57-; ls -l /proc/self/fd | wc -l');
	await see('mounts', 'cut -d" " -f5,6 /proc/self/mountinfo | tail -n +2; mount | sed -n "1s/(.*//p"');
	await see('namespaces', 'ip -o addr | sed "s/.*lo *//"; set -- /proc/[0-9]*; echo $#; cat /proc/self/oom_score_adj; cat /proc/1/cmdline | tr "\\0" " "');
	t.is(await ctr.prints('run', '--rm', images.busybox, 'pid', 'sh', '-c', 'echo $$'), '1\n');
});

scenario('--env, --cwd and --label are given to the container', async ({t, ctr, daemon, images}) => {
	const file = path.join(daemon.scratch, 'env');
	await writeFile(file, 'FILE=yes\nTWO=2\n');
	t.is(await ctr.prints('run', '--rm', '--env', 'A=b c', '--env', 'EMPTY=', '--env-file', file, images.busybox, 'env', 'sh', '-c', 'echo "$A,${EMPTY-unset},$FILE,$TWO"'), 'b c,,yes,2\n');
	t.is(await ctr.prints('run', '--rm', '--cwd', '/work', images.busybox, 'cwd', 'pwd'), '/work\n');
	await ctr.ok('run', '-d', '--label', 'team=blue', images.busybox, 'labelled', 'sleep', '60');
	t.deepEqual(await ctr.lines('containers', 'ls', '-q', 'labels."team"==blue'), ['labelled']);
	await ctr.ok('tasks', 'rm', '--force', 'labelled');
	await ctr.ok('containers', 'rm', 'labelled');
});

scenario('--user runs as an account of the image, or as numbers', async ({t, ctr, images}) => {
	t.is(await ctr.prints('run', '--rm', '--user', 'keel', images.busybox, 'name', 'sh', '-c', 'id -u; id -g; id -G'), '1234\n4321\n4321 777\n');
	t.is(await ctr.prints('run', '--rm', '--user', '55:66', images.busybox, 'numbers', 'sh', '-c', 'id -u; id -g'), '55\n66\n');
	t.is((await ctr.run('run', '--rm', '--user', 'nobody-knows', images.busybox, 'unknown', 'id')).code, 1);
}, {since: '1.7'});

scenario('--read-only, --mount and --privileged change what can be written', async ({t, ctr, daemon, images}) => {
	const readOnly = await ctr.run('run', '--rm', '--read-only', images.busybox, 'ro', 'touch', '/x');
	t.is(readOnly.code, 1);
	t.regex(readOnly.stderr, /Read-only file system/v);
	const shared = path.join(daemon.scratch, `shared-${ctr.release}`);
	await mkdir(shared);
	await writeFile(path.join(shared, 'file'), 'from the host\n');
	t.is(await ctr.prints('run', '--rm', '--mount', `type=bind,src=${shared},dst=/host,options=rbind:rw`, images.busybox, 'rw', 'sh', '-c', 'cat /host/file; echo back >/host/back'), 'from the host\n');
	t.is(await readFile(path.join(shared, 'back'), 'utf8'), 'back\n');
	t.is((await ctr.run('run', '--rm', '--mount', `type=bind,src=${shared},dst=/host,options=rbind:ro`, images.busybox, 'ro', 'touch', '/host/x')).code, 1);
	t.is(await ctr.prints('run', '--rm', '--mount', 'type=tmpfs,dst=/fresh,options=size=1m', images.busybox, 'tmp', 'sh', '-c', 'grep -c " /fresh tmpfs " /proc/mounts'), '1\n');
	t.is(await ctr.prints('run', '--rm', '--privileged', images.busybox, 'all', 'sh', '-c', 'mount -t tmpfs none /tmp && echo mounted'), 'mounted\n');
	t.not((await ctr.run('run', '--rm', images.busybox, 'none', 'mount', '-t', 'tmpfs', 'none', '/tmp')).code, 0);
});

scenario('--memory-limit and --cpus bound the container\'s cgroup', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', '--memory-limit', '33554432', '--cpus', '0.5', images.busybox, 'bounded', 'sleep', '60');
	const value = async (controller: string, file: string) => (await readFile(`/sys/fs/cgroup/${controller}/${ctr.namespace}/bounded/${file}`, 'utf8')).trim();
	t.is(await value('memory', 'memory.limit_in_bytes'), '33554432');
	t.is(await value('cpu', 'cpu.cfs_quota_us'), '50000');
	t.is(await value('cpu', 'cpu.cfs_period_us'), '100000');
	await ctr.ok('tasks', 'rm', '--force', 'bounded');
	await ctr.ok('containers', 'rm', 'bounded');
	await t.throwsAsync(stat(`/sys/fs/cgroup/memory/${ctr.namespace}/bounded`), {code: 'ENOENT'});
});

scenario('--cap-add, --cap-drop, --seccomp and --allow-new-privs reach the process', async ({ctr, images, same}) => {
	same('capabilities', await ctr.prints('run', '--rm', '--cap-add', 'CAP_SYS_ADMIN', '--cap-drop', 'CAP_CHOWN', images.busybox, 'caps', 'grep', 'CapEff', '/proc/self/status'));
	same('seccomp', await ctr.prints('run', '--rm', '--seccomp', images.busybox, 'seccomp', 'grep', 'Seccomp:', '/proc/self/status'));
	same('privileges', await ctr.prints('run', '--rm', '--allow-new-privs', images.busybox, 'privs', 'grep', 'NoNewPrivs', '/proc/self/status'));
});

scenario('--net-host shares the host\'s network, --with-ns one that exists', async ({t, ctr, images}) => {
	const inside = await ctr.prints('run', '--rm', '--net-host', images.busybox, 'host', 'readlink', '/proc/self/ns/net');
	t.is(inside, (await succeed('readlink', ['/proc/self/ns/net'])).stdout);
	const name = `${ctr.namespace}-net`;
	await succeed('ip', ['netns', 'add', name]);
	try {
		const there = await succeed('ip', ['netns', 'exec', name, 'readlink', '/proc/self/ns/net']);
		t.is(await ctr.prints('run', '--rm', '--with-ns', `network:/run/netns/${name}`, images.busybox, 'joined', 'readlink', '/proc/self/ns/net'), there.stdout);
	} finally {
		await command('ip', ['netns', 'del', name]);
	}
});

scenario('-d returns once the process runs, and --pid-file names it', async ({t, ctr, daemon, images}) => {
	const file = path.join(daemon.scratch, `pid-${ctr.release}`);
	t.is(await ctr.ok('run', '-d', '--pid-file', file, images.busybox, 'detached', 'sleep', '60'), '');
	const pid = await readFile(file, 'utf8');
	// The runtime's own init becomes the process a moment after it was told to start.
	await until('the process to run', async () => await readFile(`/proc/${pid}/cmdline`, 'utf8') === 'sleep\x0060\0');
	t.deepEqual(await ctr.rows('tasks', 'ls'), [['detached', pid, 'RUNNING']]);
	await ctr.ok('tasks', 'rm', '--force', 'detached');
	await ctr.ok('containers', 'rm', 'detached');
});

scenario('--log-uri file:// keeps what a container prints', async ({t, ctr, daemon, images}) => {
	const file = path.join(daemon.scratch, `log-${ctr.release}`);
	await ctr.ok('run', '-d', '--log-uri', `file://${file}`, images.busybox, 'logged', 'sh', '-c', 'echo out; echo err >&2');
	await until('the container to stop', async () => (await ctr.ok('tasks', 'ls')).includes('STOPPED'));
	const lines = async () => (await readFile(file, 'utf8')).split('\n').filter(line => line !== '').toSorted();
	if (daemon.kind === 'keelson') {
		t.deepEqual(await lines(), ['err', 'out']);
	} else {
		// Its shim copies both streams by themselves, a moment later, and may write the one over the other.
		await until('a line in the log', async () => (await lines()).length > 0);
		t.true((await lines()).every(line => line === 'out' || line === 'err'));
	}

	await ctr.ok('tasks', 'rm', 'logged');
	await ctr.ok('containers', 'rm', 'logged');
});

scenario('--null-io throws away what a container prints', async ({t, ctr, images}) => {
	t.is(await ctr.ok('run', '--rm', '--null-io', images.busybox, 'silent', 'echo', 'nobody hears'), '');
});

scenario('standard input reaches the process, and its end as well', async ({t, ctr, images}) => {
	await using running = ctr.background('run', '--rm', images.busybox, 'reader', 'sh', '-c', 'echo ready; cat; echo done');
	await running.prints(/ready/v);
	running.write('one\ntwo\n');
	await running.prints(/two/v);
	running.end();
	t.is(await running.exit(), 0);
	t.is(running.stdout, 'ready\none\ntwo\ndone\n');
}, {pairs: true});

scenario('much output comes whole', async ({t, ctr, images}) => {
	const {code, bytes} = await ctr.with({}, 'run', '--rm', images.busybox, 'much', 'sh', '-c', 'dd if=/dev/zero bs=64k count=128 2>/dev/null; echo end');
	t.is(code, 0);
	t.is(bytes.length, (128 * 65_536) + 4);
});

scenario('-t gives a terminal of the caller\'s size', async ({t, ctr, images}) => {
	await using terminal = ctr.terminal('run', '--rm', '-t', images.busybox, 'tty', 'sh', '-c', `tty; ${showSize}; read line; echo "got $line"; exit 4`);
	await terminal.shows(/\/dev\/pts\/0/v);
	await terminal.shows(/24 80/v);
	terminal.type('typed\r');
	await terminal.shows(/got typed/v);
	t.is(await terminal.exit(), 4);
}, {pairs: true});

scenario('a signal to the client is passed on to the process', async ({t, ctr, images}) => {
	await using running = ctr.background('run', '--rm', images.busybox, 'trapped', 'sh', '-c', 'trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.1; done');
	await running.prints(/ready/v);
	// The client passes signals on once Start has answered, which may be after the first output: before that, one ends the client itself.
	// A program of Go catches SIGTSTP, bit 19 of SigCgt, from when it asks to be told of all signals.
	await until('the client to pass signals on', async () => {
		const caught = /^SigCgt:\s*(?<mask>[0-9a-f]+)$/mv.exec(await readFile(`/proc/${running.pid}/status`, 'utf8'))?.groups?.['mask'];
		return (BigInt(`0x${caught}`) & 0x80000n) !== 0n;
	});
	running.kill('SIGTERM');
	t.is(await running.exit(), 5);
	t.regex(running.stdout, /caught/v);
});

scenario('an id is taken once', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'once', 'sleep', '60');
	t.is(await ctr.fails('run', '-d', images.busybox, 'once', 'sleep', '60'), 'ctr: snapshot "once": already exists\n');
	await ctr.ok('tasks', 'rm', '--force', 'once');
	await ctr.ok('containers', 'rm', 'once');
});

scenario('a root filesystem of the caller\'s own is run with --rootfs', async ({t, ctr, daemon, images}) => {
	const target = path.join(daemon.scratch, `rootfs-${ctr.release}`);
	await mkdir(target);
	await ctr.ok('images', 'mount', '--rw', images.busybox, target);
	try {
		t.is(await ctr.prints('run', '--rm', '--rootfs', target, 'own-root', '/bin/echo', 'mine'), 'mine\n');
	} finally {
		await ctr.run('images', 'unmount', '--rm', target);
		await ctr.run('leases', 'rm', '--sync', target);
	}
});

scenario('--hostname names the machine inside', async ({t, ctr, images}) => {
	t.true(isSince(ctr.release, '1.7'));
	t.is(await ctr.prints('run', '--rm', '--hostname', 'boat', images.busybox, 'named', 'hostname'), 'boat\n');
}, {since: '1.7'});
