import {readFile} from 'node:fs/promises';
import path from 'node:path';
import type {Ctr} from '../helpers/ctr.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {showSize} from '../helpers/terminal.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('tasks', {pairs: true});

const remove = async (ctr: Ctr, id: string) => {
	await ctr.ok('tasks', 'rm', '--force', id);
	await ctr.ok('containers', 'rm', id);
};

const status = async (ctr: Ctr, id: string) => (await ctr.rows('tasks', 'ls')).find(row => row[0] === id)?.[2];
const stopped = async (ctr: Ctr, id: string) => until(`${id} to stop`, async () => await status(ctr, id) === 'STOPPED');

scenario('ls and ps show a task and its processes', async ({t, ctr, images, same}) => {
	same('nothing', await ctr.ok('tasks', 'ls'));
	await ctr.ok('run', '-d', images.busybox, 'shown', 'sleep', '60');
	const [row] = await ctr.rows('tasks', 'ls');
	t.deepEqual([row?.[0], row?.[2]], ['shown', 'RUNNING']);
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), ['shown']);
	t.deepEqual(await ctr.rows('tasks', 'ps', 'shown'), [[row?.[1] ?? '', '-']]);
	await ctr.ok('tasks', 'exec', '-d', '--exec-id', 'beside', 'shown', 'sleep', '61');
	const processes = await ctr.rows('tasks', 'ps', 'shown');
	same('ps', processes.map(words => words.slice(1)));
	const other = processes.find(words => words[0] !== row?.[1])?.[0];
	await until('the exec to run', async () => await readFile(`/proc/${other}/cmdline`, 'utf8') === 'sleep\x0061\0');
	await remove(ctr, 'shown');
}, {pairs: true});

scenario('exec runs beside, with its own exit status, directory, user and input', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', '--env', 'A=of the container', images.busybox, 'host', 'sleep', '60');
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e1', 'host', 'sh', '-c', 'echo $A'), 'of the container\n');
	const nine = await ctr.hears('tasks', 'exec', '--exec-id', 'e2', 'host', 'sh', '-c', 'echo out; echo err >&2; read line; exit 9');
	t.deepEqual(nine, {code: 9, stdout: 'out\n', stderr: 'err\n'});
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e3', '--cwd', '/tmp', '--user', '55:66', 'host', 'sh', '-c', 'pwd; id -u; id -g'), '/tmp\n55\n66\n');
	t.is((await ctr.with({input: 'data'}, 'tasks', 'exec', '--exec-id', 'e4', 'host', 'cat')).stdout, 'data');
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e1', 'host', 'echo', 'the id is free again'), 'the id is free again\n');
	await remove(ctr, 'host');
}, {pairs: true});

scenario('an exec of a command that is not there fails and leaves nothing', async ({t, ctr, images, same}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	const message = await ctr.fails('tasks', 'exec', '--exec-id', 'e1', 'host', 'nobody');
	t.regex(message, /exec: "nobody": executable file not found in \$PATH/v);
	same('message', message);
	t.is((await ctr.rows('tasks', 'ps', 'host')).length, 1);
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e1', 'host', 'echo', 'well'), 'well\n');
	await remove(ctr, 'host');
}, {pairs: true});

scenario('exec -d returns at once; its id is taken until it is deleted', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	t.is(await ctr.ok('tasks', 'exec', '-d', '--exec-id', 'beside', 'host', 'sleep', '61'), '');
	t.is(await ctr.fails('tasks', 'exec', '--exec-id', 'beside', 'host', 'true'), 'ctr: id beside: already exists\n');
	await ctr.ok('tasks', 'kill', '--exec-id', 'beside', '--signal', 'KILL', 'host');
	await until('the exec to end', async () => (await ctr.rows('tasks', 'ps', 'host')).length === 1);
	t.is((await ctr.run('tasks', 'rm', '--exec-id', 'beside', 'host')).code, 137);
	t.is(await status(ctr, 'host'), 'RUNNING');
	await remove(ctr, 'host');
});

scenario('exec -t gives a terminal', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	await using terminal = ctr.terminal('tasks', 'exec', '-t', '--exec-id', 'tty', 'host', 'sh');
	terminal.type(`${showSize}; tty\r`);
	await terminal.shows(/24 80/v);
	await terminal.shows(/\/dev\/pts\//v);
	terminal.type('exit 6\r');
	t.is(await terminal.exit(), 6);
	await remove(ctr, 'host');
});

scenario('attach joins the terminal of a running container', async ({t, ctr, images}) => {
	// The client wants a terminal for -t even where it detaches.
	await using starter = ctr.terminal('run', '-d', '-t', images.busybox, 'host', 'sh');
	t.is(await starter.exit(), 0);
	await using terminal = ctr.terminal('tasks', 'attach', 'host');
	terminal.type('echo att""ached\r');
	await terminal.shows(/attached/v);
	terminal.type('exit 8\r');
	t.is(await terminal.exit(), 8);
	await ctr.run('tasks', 'rm', 'host');
	await ctr.ok('containers', 'rm', 'host');
}, {pairs: true});

scenario('attach to a container without a terminal sees what it prints', async ({t, ctr, images}) => {
	// The first client goes and leaves the container its FIFOs.
	await using first = ctr.background('run', images.busybox, 'host', 'sh', '-c', 'echo ready; while :; do echo tick; sleep 0.1; done');
	await first.prints(/tick/v);
	await using second = ctr.background('tasks', 'attach', 'host');
	await second.prints(/tick/v);
	await ctr.ok('tasks', 'kill', '--signal', 'KILL', 'host');
	t.is(await second.exit(), 137);
	await first.exit();
	await ctr.run('tasks', 'rm', 'host');
	await ctr.ok('containers', 'rm', 'host');
});

scenario('a paused task stands still until it is resumed', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	t.is(await ctr.ok('tasks', 'pause', 'host'), '');
	t.is(await status(ctr, 'host'), 'PAUSED');
	t.regex(await ctr.fails('tasks', 'exec', '--exec-id', 'e1', 'host', 'true'), /cannot exec in a paused (?:state|container)/v);
	t.is(await ctr.ok('tasks', 'resume', 'host'), '');
	t.is(await status(ctr, 'host'), 'RUNNING');
	t.is(await ctr.prints('tasks', 'exec', '--exec-id', 'e2', 'host', 'echo', 'alive'), 'alive\n');
	await remove(ctr, 'host');
}, {pairs: true});

scenario('kill sends the signal that is named, TERM when none is', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sh', '-c', 'trap "exit 21" TERM; trap "exit 22" USR1; while :; do sleep 0.1; done');
	// What comes before the trap is set is lost on process 1. SigCgt is hexadecimal, and USR1 its bit 9.
	await until('the trap to be set', async () => {
		const pid = (await ctr.rows('tasks', 'ls'))[0]?.[1];
		const caught = /^SigCgt:\s*(?<mask>[0-9a-f]+)$/mv.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.groups?.['mask'];
		return (BigInt(`0x${caught}`) & 0x200n) !== 0n;
	});
	await ctr.ok('tasks', 'kill', '--signal', 'USR1', 'host');
	await stopped(ctr, 'host');
	t.is(await ctr.exitStatus('host'), 22);
	await ctr.ok('containers', 'rm', 'host');
});

scenario('--all kills every process, and a task that ended is told', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	await ctr.ok('tasks', 'exec', '-d', '--exec-id', 'beside', 'host', 'sleep', '61');
	await ctr.ok('tasks', 'kill', '--all', '--signal', 'KILL', 'host');
	await stopped(ctr, 'host');
	t.is(await ctr.fails('tasks', 'kill', '--signal', 'KILL', 'host'), 'ctr: process already finished: not found\n');
	t.is(await ctr.exitStatus('host'), 137);
	await ctr.ok('containers', 'rm', 'host');
}, {pairs: true});

scenario('a running task or its container is not removed without force', async ({t, ctr, images, same}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	t.regex(await ctr.fails('tasks', 'rm', 'host'), /ctr: task must be stopped before deletion: running: failed precondition\n$/v);
	const message = await ctr.fails('containers', 'rm', 'host');
	t.regex(message, /cannot delete a non stopped container/v);
	same('message', message);
	t.is((await ctr.run('tasks', 'rm', '--force', 'host')).code, 0);
	await ctr.ok('containers', 'rm', 'host');
}, {pairs: true});

scenario('start -d starts a created container, and only one task of it', async ({t, ctr, images, daemon}) => {
	await ctr.ok('containers', 'create', images.busybox, 'host', 'sleep', '60');
	const file = path.join(daemon.scratch, `pid-${ctr.release}`);
	t.is(await ctr.ok('tasks', 'start', '-d', '--pid-file', file, 'host'), '');
	t.is((await ctr.rows('tasks', 'ls'))[0]?.[1], await readFile(file, 'utf8'));
	t.regex(await ctr.fails('tasks', 'start', '-d', 'host'), /already exists/v);
	t.is(await status(ctr, 'host'), 'RUNNING');
	await remove(ctr, 'host');
});

scenario('metrics say what a task uses', async ({t, ctr, images, same}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	// The runtime's own init, which has threads, becomes the process a moment after it was told to start.
	const pid = (await ctr.rows('tasks', 'ls'))[0]?.[1];
	await until('the process to run', async () => await readFile(`/proc/${pid}/cmdline`, 'utf8') === 'sleep\x0060\0');
	const table = await ctr.ok('tasks', 'metrics', 'host');
	same('names', table.split('\n').slice(1).filter(line => line !== '' && !line.startsWith('host')).map(line => line.split(/\s+/v)[0]));
	t.regex(table, /pids\.current +1/v);
	const json = JSON.parse(await ctr.ok('tasks', 'metrics', '--format', 'json', 'host')) as {pids: {current: number}; memory: object; cpu: object};
	t.is(json.pids.current, 1);
	same('shape', Object.keys(json).toSorted());
	same('memory', Object.keys(json.memory).filter(key => !['swap', 'cache', 'mapped_file', 'dirty', 'writeback'].includes(key)).filter(key => key.startsWith('usage') || key.startsWith('kernel')).toSorted());
	await remove(ctr, 'host');
});

scenario('the exit status of a task waits until it is asked for', async ({t, ctr, images}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sh', '-c', 'exit 44');
	await stopped(ctr, 'host');
	t.is(await ctr.exitStatus('host'), 44);
	t.deepEqual(await ctr.lines('tasks', 'ls', '-q'), []);
	await ctr.ok('containers', 'rm', 'host');
});

scenario('a task that is not there is not found', async ({t, ctr, images, same}) => {
	const missing = `ctr: container "nobody" in namespace "${ctr.namespace}": not found\n`;
	for (const verb of ['kill', 'ps', 'pause', 'resume', 'attach', 'metrics', 'start']) {
		t.is(await ctr.fails('tasks', verb, 'nobody'), missing, verb);
	}

	t.is(await ctr.fails('tasks', 'exec', '--exec-id', 'e', 'nobody', 'true'), missing);
	await ctr.ok('containers', 'create', images.busybox, 'idle', 'true');
	for (const verb of ['kill', 'ps', 'pause', 'resume', 'metrics']) {
		const message = await ctr.fails('tasks', verb, 'idle');
		t.regex(message, /not found/v, verb);
		same(verb, message);
	}

	await ctr.ok('containers', 'rm', 'idle');
});
