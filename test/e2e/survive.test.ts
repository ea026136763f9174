import {readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fromTimestamp} from '../../plugins/shim/protocol/timestamp.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {clientOf} from '../helpers/task-client.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('survive', {pairs: true});

for (const [how, end] of [['kill -9', 'kill9'], ['a stop', 'stop']] as const) {
	scenario(`after ${how} of the daemon containers go on, and are known again`, async ({t, ctr, daemon, images}) => {
		await ctr.ok('run', '-d', images.busybox, 'stays', 'sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 0.05; done');
		await ctr.ok('run', '-d', images.busybox, 'ends', 'sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 17');
		const pid = (await ctr.rows('tasks', 'ls')).find(row => row[0] === 'stays')?.[1];
		const inside = async (file: string) => readFile(path.join(`/proc/${pid}/root`, file), 'utf8').catch(() => '');
		await until('the container to count', async () => (await inside('tmp/count')) !== '');
		await daemon[end]();
		const before = Number(await inside('tmp/count'));
		await until('the container to count on', async () => Number(await inside('tmp/count')) > before);
		await daemon.start();

		t.deepEqual((await ctr.rows('tasks', 'ls')).toSorted((a, b) => String(a).localeCompare(String(b))), [['ends', (await ctr.rows('tasks', 'ls')).find(row => row[0] === 'ends')?.[1] ?? '', 'RUNNING'], ['stays', pid ?? '', 'RUNNING']]);
		t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'again', 'stays', 'echo', 'alive'), 'alive\n');
		t.true((await ctr.lines('containers', 'ls', '-q')).includes('stays'));
		await ctr.ok('tasks', 'exec', '--exec-id', 'let-go', 'ends', 'touch', '/tmp/go');
		await until('the container to end', async () => (await ctr.ok('tasks', 'ls')).includes('STOPPED'));
		t.is(await ctr.exitStatus('ends'), 17);
		await ctr.ok('tasks', 'rm', '--force', 'stays');
		await ctr.ok('containers', 'rm', 'stays', 'ends');
	}, {pairs: how === 'kill -9'});
}

scenario('a container that ended while the daemon was dead is reported with its exit status and time', async ({t, ctr, daemon, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'brief', 'sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 23');
	const pid = (await ctr.rows('tasks', 'ls')).find(row => row[0] === 'brief')?.[1];
	await daemon.kill9();
	const began = Date.now();
	await writeFile(`/proc/${pid}/root/tmp/go`, '');
	await until('the container to end', async () => stat(`/proc/${pid}`).then(() => false, () => true));
	// Whoever takes the exit for the time of the restart is found out.
	await sleep(1000);
	const restarted = Date.now();
	await daemon.start();
	await until('the container to be known as stopped', async () => (await ctr.ok('tasks', 'ls')).includes('STOPPED'));
	using client = clientOf(daemon, ctr);
	for (const exitedAt of [(await client.services.tasks.wait({containerId: 'brief'})).exitedAt, (await client.services.tasks.get({containerId: 'brief'})).process?.exitedAt]) {
		const exitedMs = fromTimestamp(exitedAt)?.getTime() ?? 0;
		t.true(exitedMs >= began && exitedMs < restarted, `ended at ${exitedMs}, between ${began} and ${restarted}`);
	}
	t.is(await ctr.exitStatus('brief'), 23);
	await ctr.ok('containers', 'rm', 'brief');
	// containerd 1.7 and later forget such a task at their start.
}, {only: 'keelson'});

scenario('a terminal can be attached to after kill -9', async ({t, ctr, daemon, images}) => {
	await using starter = ctr.terminal('run', '-d', '-t', images.busybox, 'host', 'sh');
	t.is(await starter.exit(), 0);
	await daemon.kill9();
	await daemon.start();
	await using terminal = ctr.terminal('tasks', 'attach', 'host');
	terminal.type('echo att""ached\r');
	await terminal.shows(/attached/v);
	terminal.type('exit 9\r');
	t.is(await terminal.exit(), 9);
	await ctr.run('tasks', 'rm', 'host');
	await ctr.ok('containers', 'rm', 'host');
});

scenario('images, snapshots and labels are there after kill -9', async ({t, ctr, daemon, images}) => {
	await ctr.ok('images', 'label', images.busybox, 'kept=yes');
	const snapshots = await ctr.ok('snapshots', 'ls');
	await daemon.kill9();
	await daemon.start();
	t.regex(await ctr.ok('images', 'ls'), /kept=yes/v);
	t.is(await ctr.ok('snapshots', 'ls'), snapshots);
	t.is(await ctr.prints('run', '--rm', images.busybox, 'after', 'echo', 'well'), 'well\n');
});
