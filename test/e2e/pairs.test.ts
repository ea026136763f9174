import {readFile} from 'node:fs/promises';
import type {Ctr} from '../helpers/ctr.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {until} from '../helpers/until.ts';

// Where daemon and shim are of two houses, and nobody but the shim knows how a container ends.
const scenario = endToEnd('pairs', {pairs: true});

const pidOf = async (ctr: Ctr, id: string): Promise<string> => (await ctr.rows('tasks', 'ls')).find(row => row[0] === id)?.[1] ?? '';
const parentOf = async (pid: string): Promise<number> => Number(/^PPid:\s*(?<pid>\d+)$/mv.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.groups?.['pid']);
const isGone = async (pid: number | string): Promise<boolean> => readFile(`/proc/${pid}/stat`, 'utf8').then(stat => stat.includes(') Z '), () => true);

scenario('a shim that is killed takes its container with it, and what it leaves is taken away', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'orphan', 'sleep', '60');
	await ctr.ok('run', '-d', images.busybox, 'other', 'sleep', '61');
	const pid = await pidOf(ctr, 'orphan');
	const shim = await parentOf(pid);
	t.true((await readFile(`/proc/${shim}/cmdline`, 'utf8')).includes('containerd-shim-'));
	process.kill(shim, 'SIGKILL');
	await until('the container to be ended', async () => isGone(pid));
	await until('the task to be forgotten', async () => !(await ctr.lines('tasks', 'ls', '-q')).includes('orphan'));
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), ['other']);
	// containerd does not show a task whose shim it is still cleaning up after.
	await until('its name to be free for another task', async () => (await ctr.run('tasks', 'start', '-d', 'orphan')).code === 0, {everyMs: 100});
	for (const id of ['orphan', 'other']) {
		await ctr.ok('tasks', 'rm', '--force', id);
		await ctr.ok('containers', 'rm', id);
	}
}, {pairs: 'only'});

scenario('containers of a group, by their specs\' annotations, have one shim', async ({t, ctr, images}) => {
	const group = `io.containerd.runc.v2.group=pod-${ctr.namespace}`;
	await ctr.ok('run', '-d', '--annotation', group, images.busybox, 'first', 'sleep', '60');
	await ctr.ok('run', '-d', '--annotation', group, images.busybox, 'second', 'sleep', '60');
	await ctr.ok('run', '-d', images.busybox, 'alone', 'sleep', '60');
	const [first, second, alone] = await Promise.all(['first', 'second', 'alone'].map(async id => parentOf(await pidOf(ctr, id))));
	t.is(first, second);
	t.not(first, alone);
	await ctr.ok('tasks', 'rm', '--force', 'first');
	// The one that started the shim has gone; the shim stays for the other.
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e', 'second', 'echo', 'well'), 'well\n');
	for (const id of ['second', 'alone']) {
		await ctr.ok('tasks', 'rm', '--force', id);
	}
	await until('the group\'s shim to end', async () => isGone(first ?? 0));
	for (const id of ['first', 'second', 'alone']) {
		await ctr.ok('containers', 'rm', id);
	}
}, {pairs: 'only'});

scenario('the daemon says of a runtime what its shim says', async ({t, ctr}) => {
	const text = await ctr.ok('plugins', 'inspect-runtime', '--runtime', ctr.runtime ?? 'io.containerd.runc.v2');
	const {Name: name = '', Features: features} = JSON.parse(text) as {Name?: string; Features?: {ociVersionMax?: string}};
	t.regex(name, ctr.runtime === undefined ? /runc/v : /keelson/v);
	t.is(typeof features?.ociVersionMax, 'string');
}, {pairs: 'only', since: '2.1'});
