import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Status} from '../../api/gen/types/task/task.ts';
import {until} from '../helpers/until.ts';
import type {SemanticsRoom} from './semantics-room.ts';
import type {Fact} from './semantics-suite.ts';

const label = (name: string): string => `containerd.io/restart.${name}`;

/** Makes a container with these labels `restart.…`. Its task comes first, where it has one: the monitor would make it too. */
async function watched(room: SemanticsRoom, args: readonly string[], labels: Readonly<Record<string, string>>, {isStarted = true} = {}): Promise<string> {
	const id = await room.container(args);
	if (isStarted) {
		await start(room, id);
	}
	await set(room, id, {status: 'running', ...labels});
	return id;
}

async function set(room: SemanticsRoom, id: string, labels: Readonly<Record<string, string>>): Promise<void> {
	const named = Object.fromEntries(Object.entries(labels).map(([name, value]) => [label(name), value]));
	await room.client.services.containers.update({container: {id, labels: named}, updateMask: Object.keys(named).map(name => `labels.${name}`)});
}

const countOf = async (room: SemanticsRoom, id: string): Promise<number> => Number((await room.client.services.containers.get({id})).container?.labels[label('count')] ?? 0);
const statusOf = async (room: SemanticsRoom, id: string): Promise<Status | undefined> =>
	room.client.services.tasks.get({containerId: id}).then(({process}) => process?.status, () => undefined);

async function start(room: SemanticsRoom, id: string): Promise<void> {
	const {tasks} = room.client.services;
	await tasks.create({containerId: id});
	await tasks.start({containerId: id});
}

/** Without this the monitor of a daemon would go on with what a test has left. */
async function remove(room: SemanticsRoom, ...ids: readonly string[]): Promise<void> {
	for (const id of ids) {
		await set(room, id, {status: ''});
		await until('it to be removed', async () => room.remove(id).then(() => true, () => false));
	}
}

/** The restart monitor; each daemon here looks every half second. */
export function monitorSemantics(fact: Fact): void {
	fact('a container is started again as its policy says, by delete and create, and that is counted', async (t, room) => {
		const log = path.join(room.daemon.scratch, 'restarted.log');
		const always = await watched(room, ['sh', '-c', 'echo again; exit 0'], {policy: 'always', loguri: `file://${log}`}, {isStarted: false});
		const twice = await watched(room, ['false'], {policy: 'on-failure:2'});
		const succeeds = await watched(room, ['true'], {policy: 'on-failure'});
		const stopped = await watched(room, ['true'], {policy: 'unless-stopped', 'explicitly-stopped': 'true'});
		const goesOn = await watched(room, ['true'], {policy: 'unless-stopped'});
		// `always` was never started: the monitor does it.
		await until('restarts', async () => await countOf(room, always) >= 2 && await countOf(room, twice) === 2 && await countOf(room, goesOn) >= 1, {timeoutMs: 60_000, everyMs: 100});
		// containerd loses the output of some that end at once.
		const printed = room.daemon.kind === 'keelson' ? /again\nagain\n/ : /again\n/;
		await until('their output', async () => printed.test(await readFile(log, 'utf8')), {everyMs: 100});
		await sleep(1200);
		t.is(await countOf(room, twice), 2);
		t.is(await countOf(room, succeeds), 0);
		t.is(await countOf(room, stopped), 0);
		t.is(await statusOf(room, succeeds), Status.STOPPED);
		await remove(room, always, twice, succeeds, stopped, goesOn);
		// containerd 1.6 deletes the tasks of such containers, which have no snapshot, and was not seen to make new ones.
	}, {since: '2.1'});

	fact('a container that shall be stopped is; one whose policy is no, and a task that is paused, are left alone', async (t, room) => {
		const [no, paused] = [await watched(room, ['true'], {policy: 'no'}), await watched(room, ['sleep', '60'], {policy: 'always'})];
		const running = await room.container(['sleep', '60']);
		await start(room, running);
		await room.client.services.tasks.pause({containerId: paused});
		const before = await countOf(room, paused);
		await set(room, running, {status: 'stopped'});
		await until('the stop', async () => await statusOf(room, running) === undefined);
		await sleep(1200);
		t.is(await statusOf(room, paused), Status.PAUSED);
		t.is(await countOf(room, paused), before);
		t.is(await countOf(room, no), 0);
		await room.client.services.tasks.resume({containerId: paused});
		await remove(room, no, paused, running);
	}, {since: '2.1'});
}
