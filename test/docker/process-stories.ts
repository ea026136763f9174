import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {showSize} from '../helpers/terminal.ts';
import {until} from '../helpers/until.ts';
import type {Story} from './docker-room.ts';

/** A look is a program of Go each time. */
const everyMs = 150;

/** Programs in containers: how they are started, spoken to, watched and ended. */
export function processStories(story: Story): void {
	story('run prints what a program prints, and ends with its exit status', async (t, {docker, images: {busybox}}) => {
		const outcome = await docker.run('run', '--rm', '--network', 'none', busybox, 'sh', '-c', 'echo out; echo err >&2; exit 7');
		t.like(outcome, {code: 7, stdout: 'out\n', stderr: 'err\n'});
		t.is((await docker.with({input: 'typed'}, 'run', '--rm', '-i', '--network', 'none', busybox, 'rev')).stdout, 'depyt');
		t.deepEqual(await docker.lines('ps', '-aq'), []);
	});

	story('the words of the runtime tell what could not be started', async (t, {docker, images: {busybox}}) => {
		const missing = await docker.run('run', '--rm', '--network', 'none', busybox, 'no-such-program');
		t.is(missing.code, 127);
		t.regex(missing.stderr, /exec: "no-such-program": executable file not found in \$PATH/v);
		const directory = await docker.run('run', '--rm', '--network', 'none', busybox, '/etc');
		t.is(directory.code, 126);
		t.regex(directory.stderr, /exec: "\/etc": (?:is a directory|permission denied)/v);
		t.deepEqual(await docker.lines('ps', '-aq'), []);
	});

	story('-it is a terminal of the client\'s size, for run and for exec', async (t, {docker, images: {busybox}}) => {
		await using terminal = docker.terminal('run', '--rm', '-it', '--network', 'none', '--name', 'typed', busybox, 'sh');
		await terminal.shows(/# /v);
		terminal.type(`${showSize}; tty\r`);
		await terminal.shows(/24 80\s+\/dev\/(?:console|pts\/0)/v);
		await using second = docker.terminal('exec', '-it', 'typed', 'sh');
		await second.shows(/# /v);
		second.type(`${showSize}; tty; exit 6\r`);
		await second.shows(/24 80\s+\/dev\/pts\/\d/v);
		t.is(await second.exit(), 6);
		terminal.type('sleep 100\r');
		await until('the sleep', async () => (await docker.ok('top', 'typed')).includes('sleep 100'), {everyMs});
		terminal.type('\u0003');
		terminal.type('exit 5\r');
		t.is(await terminal.exit(), 5);
		t.deepEqual(await docker.lines('ps', '-aq'), []);
	});

	story('a container in the background is watched, entered, stopped and started again', async (t, {docker, release, images: {busybox}}) => {
		const script = 'trap "echo bye; exit 3" TERM; echo out; echo err >&2; while :; do sleep 0.1; done';
		const [id = ''] = await docker.lines('run', '-d', '--name', 'one', '--network', 'none', busybox, 'sh', '-c', script);
		const logs = async (): Promise<readonly string[]> => {
			const {stdout, stderr} = await docker.run('logs', 'one');
			return [stdout, stderr];
		};
		await until('both streams in the log', async () => (await logs()).every(text => text !== ''), {everyMs});
		t.deepEqual(await logs(), ['out\n', 'err\n']);
		const {Pid: pid} = await docker.inspect('one', '.State') as {Pid: number};
		t.true((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes('echo out'));
		t.true((await readFile(`/proc/${pid}/cgroup`, 'utf8')).includes(`/${docker.namespace}/${id}`));
		t.regex(await docker.ok('top', 'one'), new RegExp(`\\b${pid}\\b`, 'v'));
		t.like(await docker.inspect('one', '.State'), {Status: 'running', Running: true, ExitCode: 0});

		t.like(await docker.run('exec', 'one', 'sh', '-c', 'echo in; echo also >&2; exit 4'), {code: 4, stdout: 'in\n', stderr: 'also\n'});
		t.is((await docker.with({input: 'given'}, 'exec', '-i', 'one', 'cat')).stdout, 'given');
		t.is(await docker.ok('exec', '-u', 'keel', '-w', '/work', '-e', 'A=b c', 'one', 'sh', '-c', 'id -un; pwd; echo $A'), 'keel\n/work\nb c\n');
		// Docker 26 says so of what cannot be executed and of what is not there.
		t.is((await docker.run('exec', 'one', 'no-such-program')).code, release === '26' ? 126 : 127);

		await using waiting = docker.background('wait', 'one');
		t.is(await docker.ok('stop', 'one'), 'one\n');
		t.is(await waiting.exit(), 0);
		t.is(waiting.stdout, '3\n');
		t.like(await docker.inspect('one', '.State'), {Status: 'exited', Running: false, ExitCode: 3, Pid: 0});
		t.is((await docker.run('exec', 'one', 'true')).code, 1);

		await docker.ok('start', 'one');
		await until('the second log', async () => (await logs())[0] === 'out\nbye\nout\n', {everyMs});
		await docker.ok('restart', 'one');
		await until('the third log', async () => (await logs())[0] === 'out\nbye\nout\nbye\nout\n', {everyMs});
		await docker.ok('kill', 'one');
		await until('the end', async () => (await docker.inspect('one', '.State.ExitCode')) === 137, {everyMs});
		await docker.ok('rm', 'one');
	});

	story('events tell each step in order', async (t, {docker, images: {busybox}}) => {
		const since = String(Date.now() / 1000);
		const actions = async (): Promise<readonly (string | undefined)[]> => {
			const now = String(Date.now() / 1000);
			const lines = await docker.lines('events', '--since', since, '--until', now, '--filter', 'container=told', '--filter', 'type=container', '--format', '{{.Action}}');
			return lines.map(action => action.split(':')[0]);
		};
		await docker.ok('run', '-d', '--name', 'told', '--network', 'none', busybox, 'sleep', '100');
		await docker.ok('exec', 'told', 'true');
		// The client has the exit status before the daemon says so to all.
		await until('the exec\'s end', async () => (await actions()).includes('exec_die'), {everyMs});
		await docker.ok('pause', 'told');
		t.is(await docker.inspect('told', '.State.Status'), 'paused');
		await docker.ok('unpause', 'told');
		await docker.ok('rm', '-f', 'told');
		t.deepEqual(await actions(), ['create', 'start', 'exec_create', 'exec_start', 'exec_die', 'pause', 'unpause', 'kill', 'die', 'destroy']);
	});

	story('a daemon that is started again finds its containers, and Docker finds it', async (t, {docker, daemon, images: {busybox}}) => {
		await docker.ok('run', '-d', '--name', 'stays', '--network', 'none', busybox, 'sh', '-c', 'trap "exit 8" TERM; while :; do sleep 0.1; done');
		const pid = await docker.inspect('stays', '.State.Pid');
		await daemon.restart();
		await until('Docker to reach its daemon', async () => (await docker.run('exec', 'stays', 'true')).code === 0, {everyMs});
		t.is(await docker.inspect('stays', '.State.Pid'), pid);
		await docker.ok('stop', 'stays');
		t.is(await docker.inspect('stays', '.State.ExitCode'), 8);
		t.is(await docker.ok('run', '--rm', '--network', 'none', busybox, 'echo', 'next'), 'next\n');
	});

	story('stats and update are of the container\'s cgroup, and what is too large for it is ended', async (t, {docker, images: {busybox}}) => {
		const [id = ''] = await docker.lines('run', '-d', '--name', 'bounded', '--network', 'none', '--memory', '32m', busybox, 'sleep', '100');
		const limit = async () => (await readFile(path.join('/sys/fs/cgroup/memory', docker.namespace, id, 'memory.limit_in_bytes'), 'utf8')).trim();
		t.is(await limit(), String(32 * 1024 * 1024));
		const stats = JSON.parse(await docker.ok('stats', '--no-stream', '--format', 'json', 'bounded')) as unknown;
		t.like(stats, {Name: 'bounded', PIDs: '1'});
		t.regex((stats as {MemUsage: string}).MemUsage, /^[1-9].*KiB \/ 32MiB$/v);
		await docker.ok('update', '--memory', '48m', '--memory-swap', '48m', 'bounded');
		t.is(await limit(), String(48 * 1024 * 1024));

		await docker.run('run', '--name', 'large', '--network', 'none', '--memory', '16m', '--memory-swap', '16m', busybox, 'sh', '-c', 'tail /dev/zero');
		// The shim tells of it by another way than of the end.
		await until('it to be told', async () => await docker.inspect('large', '.State.OOMKilled') === true, {everyMs});
		t.is(await docker.inspect('large', '.State.ExitCode'), 137);
	});
}
