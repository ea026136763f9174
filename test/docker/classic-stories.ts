import {Docker} from '../helpers/docker.ts';
import {until} from '../helpers/until.ts';
import type {Story} from './docker-room.ts';

/** Docker as it keeps images itself: the daemon below is given a root file system by path, and runs it. */
export function classicStories(story: Story): void {
	story('with the classic store run, exec and stop work as well', async (t, {daemon, release, images: {busybox}}) => {
		await using docker = await Docker.start({release, daemon, store: 'classic'});
		await docker.ok('pull', '-q', busybox);
		t.like(await docker.run('run', '--rm', '--network', 'none', busybox, 'sh', '-c', 'echo out; echo err >&2; exit 7'), {code: 7, stdout: 'out\n', stderr: 'err\n'});
		await docker.ok('run', '-d', '--name', 'one', '--network', 'none', busybox, 'sh', '-c', 'trap "exit 3" TERM; echo up; while :; do sleep 0.1; done');
		await until('the log', async () => await docker.ok('logs', 'one') === 'up\n', {everyMs: 150});
		t.is(await docker.ok('exec', 'one', 'sh', '-c', 'echo in; cat /proc/1/comm'), 'in\nsh\n');
		await docker.ok('stop', 'one');
		t.like(await docker.inspect('one', '.State'), {Status: 'exited', ExitCode: 3});
		await docker.ok('rm', 'one');
		t.deepEqual(await daemon.ctr('2.1', docker.namespace).lines('containers', 'ls', '-q'), []);
		t.true(await docker.stop());
		t.deepEqual(await docker.leftovers(), []);
	});
}
