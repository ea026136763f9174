import {mkdtemp} from 'node:fs/promises';
import path from 'node:path';
import {makeFifo} from '../../lib/sys/file-system.ts';
import {command, succeed} from '../helpers/command.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {FifoReader} from '../helpers/fifo-reader.ts';
import {clientOf, createContainer, createTask, remove} from '../helpers/task-client.ts';
import {mountsUnder} from '../helpers/traces.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('network', {pairs: 'each'});

scenario('a network namespace has lo, up, and nothing else', async ({t, ctr, images}) => {
	t.is(await ctr.prints('run', '--rm', images.busybox, 'alone', 'sh', '-c', 'ls /sys/class/net; ip -o -4 addr | sed "s/ *scope.*//"'), 'lo\n1: lo    inet 127.0.0.1/8\n');
});

scenario('two containers have two networks', async ({t, ctr, images}) => {
	const one = await ctr.prints('run', '--rm', images.busybox, 'one', 'readlink', '/proc/self/ns/net');
	await ctr.ok('run', '-d', images.busybox, 'two', 'sleep', '60');
	const two = await ctr.prints('tasks', 'exec', '--exec-id', 'look', 'two', 'readlink', '/proc/self/ns/net');
	t.not(two, (await succeed('readlink', ['/proc/self/ns/net'])).stdout);
	t.regex(one, /^net:/v);
	await ctr.ok('tasks', 'rm', '--force', 'two');
	await ctr.ok('containers', 'rm', 'two');
});

scenario('the namespace is pinned at a path while the task lives', async ({t, ctr, daemon, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'pinned', 'sleep', '60');
	const pin = `${daemon.places.state}/netns/${ctr.namespace}-pinned`;
	t.deepEqual(await mountsUnder(pin), [pin]);
	const pid = (await ctr.rows('tasks', 'ls'))[0]?.[1];
	const [there, inside] = await Promise.all([succeed('stat', ['-L', '-c', '%i', pin]), succeed('stat', ['-L', '-c', '%i', `/proc/${pid}/ns/net`])]);
	t.is(there.stdout, inside.stdout);
	await ctr.ok('tasks', 'rm', '--force', 'pinned');
	t.deepEqual(await mountsUnder(pin), []);
	await ctr.ok('containers', 'rm', 'pinned');
}, {only: 'keelson'});

scenario('an interface that comes from outside between create and start is there when the process begins', async ({t, ctr, images, daemon}) => {
	const link = `k${ctr.namespace.slice(-8)}`;
	const pin = `${daemon.places.state}/netns/${ctr.namespace}-plumbed`;
	using client = clientOf(daemon, ctr);
	await createContainer(client, ctr, images.busybox, {id: 'plumbed', args: ['sh', '-c', 'ls /sys/class/net; ip -o -4 addr show eth0 | grep -o "10[.]7[.0-9/]*"']});
	// In a directory of its own: the client removes that with the FIFO.
	const fifo = path.join(await mkdtemp(path.join(daemon.scratch, 'plumbed-')), 'out');
	makeFifo(fifo, 0o600);
	using output = new FifoReader(fifo);
	// containerd's shims want both, or none.
	await createTask(client, 'plumbed', {stdout: fifo, stderr: fifo});
	try {
		await succeed('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', `${link}p`]);
		await succeed('ip', ['link', 'set', `${link}p`, 'netns', pin, 'name', 'eth0']);
		await succeed('nsenter', [`--net=${pin}`, 'ip', 'addr', 'add', '10.7.7.2/24', 'dev', 'eth0']);
		await succeed('nsenter', [`--net=${pin}`, 'ip', 'link', 'set', 'eth0', 'up']);
		await client.services.tasks.start({containerId: 'plumbed'});
		t.is((await client.services.tasks.wait({containerId: 'plumbed'})).exitStatus, 0);
		// What a shim copies may come after the end is told.
		await until('the address', () => output.read().endsWith('/24\n'));
		t.is(output.text, 'eth0\nlo\n10.7.7.2/24\n');
	} finally {
		await command('ip', ['link', 'del', link]);
	}
	await remove(ctr, 'plumbed');
}, {only: 'keelson'});
