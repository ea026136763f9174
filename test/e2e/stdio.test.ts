import {createHash, randomBytes} from 'node:crypto';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Status} from '../../api/gen/types/task/task.ts';
import {makeFifo} from '../../lib/sys/file-system.ts';
import {succeed} from '../helpers/command.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {FifoReader} from '../helpers/fifo-reader.ts';
import {listening} from '../helpers/listening.ts';
import {clientOf, createContainer, createTask, remove} from '../helpers/task-client.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('stdio', {pairs: 'each'});

/** More than a FIFO and all pipes on the way hold: 13.9 MB. */
const last = '1900000';

scenario('a container waits while nobody reads; a client that goes away and comes back reads on where it was', async ({t, ctr, images, daemon}) => {
	using client = clientOf(daemon, ctr);
	const {tasks} = client.services;
	// The client that deletes a task takes FIFOs away, and their directory when it is empty.
	const directory = path.join(daemon.scratch, randomBytes(4).toString('hex'));
	await mkdir(directory);
	const [stdout, stderr] = [path.join(directory, 'stdout'), path.join(directory, 'stderr')];
	[stdout, stderr].forEach(file => makeFifo(file, 0o600));
	await createContainer(client, ctr, images.busybox, {id: 'patient', args: ['sh', '-c', `seq 1 ${last}; echo over >&2`]});
	// containerd makes no container before somebody has come.
	using errors = new FifoReader(stderr);
	using reader = new FifoReader(stdout);
	await createTask(client, 'patient', {stdout, stderr});
	reader.go();
	await tasks.start({containerId: 'patient'});
	await sleep(500);
	t.is((await tasks.get({containerId: 'patient'})).process?.status, Status.RUNNING);
	const hash = createHash('sha256');
	for (let visit = 0; visit < 4; visit++) {
		reader.come();
		hash.update(await until('something to read', () => reader.chunk(50_000)));
		reader.go();
		await sleep(30);
	}
	t.is(errors.read(), '', 'it is not over yet');
	reader.come();
	await reader.toEnd(chunk => void hash.update(chunk));
	await until('the end of standard error', () => errors.read() === 'over\n');
	const {stdout: expected} = await succeed('sh', ['-c', `seq 1 ${last} | sha256sum`]);
	t.is(hash.digest('hex'), expected.split(' ')[0] ?? '');
	t.is((await tasks.wait({containerId: 'patient'})).exitStatus, 0);
	await remove(ctr, 'patient');
});

scenario('a logging program takes both streams, knows for whom, and is there before the container', async ({t, ctr, images, daemon}) => {
	const name = randomBytes(4).toString('hex');
	const [logger, copy] = [`logger-${name}`, `copy-${name}`].map(one => path.join(daemon.scratch, one)) as [string, string];
	await writeFile(logger, `#!/bin/sh\ntrap "" TERM\n{ echo "$CONTAINER_NAMESPACE $CONTAINER_ID $1=$2"; } >${copy}; exec 5>&-; { cat <&3; cat <&4; } >>${copy}; echo end >>${copy}\n`, {mode: 0o755});
	await ctr.ok('run', '-d', '--log-uri', `binary://${logger}?key=value`, images.busybox, 'logged', 'sh', '-c', 'echo out; echo err >&2; exit 3');
	await until('it to stop', async () => (await ctr.rows('tasks', 'ls')).some(row => row[0] === 'logged' && row[2] === 'STOPPED'));
	t.is(await ctr.exitStatus('logged'), 3);
	await until('the end of the log', async () => (await readFile(copy, 'utf8')).endsWith('end\n'));
	t.is(await readFile(copy, 'utf8'), `${ctr.namespace} logged key=value\nout\nerr\nend\n`);
	await ctr.ok('containers', 'rm', 'logged');
});

scenario('a container that is killed for want of memory is told of before its exit', async ({t, ctr, images, daemon}) => {
	await using events = await listening(daemon, ctr);
	using client = clientOf(daemon, ctr);
	await createContainer(client, ctr, images.busybox, {id: 'hungry', args: ['sh', '-c', 'dd if=/dev/zero of=/dev/null bs=200M count=1; exit 1'], change: spec => {
		spec.linux.resources = {...spec.linux.resources, memory: {limit: 16 * 1024 * 1024}};
	}});
	await createTask(client, 'hungry');
	await client.services.tasks.start({containerId: 'hungry'});
	await client.services.tasks.wait({containerId: 'hungry'});
	t.truthy(await events.prints(/\/tasks\/oom[^\n]*hungry/v));
	t.truthy(await events.prints(/\/tasks\/exit[^\n]*hungry/v));
	if (daemon.kind === 'keelson') {
		t.regex(events.stdout, /\/tasks\/oom[^\n]*hungry[\s\S]*\/tasks\/exit[^\n]*hungry/v);
	}
	await remove(ctr, 'hungry');
});
