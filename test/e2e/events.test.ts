import {setTimeout as sleep} from 'node:timers/promises';
import {TaskExit} from '../../api/gen/events/task.ts';
import type {Background} from '../helpers/background.ts';
import type {Ctr} from '../helpers/ctr.ts';
import {endToEnd} from '../helpers/end-to-end.ts';
import {clientOf} from '../helpers/task-client.ts';
import {until} from '../helpers/until.ts';

const scenario = endToEnd('events', {pairs: true});

interface Event {
	readonly topic: string;
	readonly body: Readonly<Record<string, unknown>>;
}

/** The events of a namespace that a client has printed: time, namespace, topic, JSON. */
function read({stdout}: Background, namespace: string): Event[] {
	return stdout.split('\n').flatMap(line => {
		const match = /^(?<time>.*?) (?<namespace>[a-z0-9\-]+) (?<topic>\/\S+) (?<body>\{.*\})$/v.exec(line)?.groups;
		return match?.['namespace'] === namespace ? [{topic: match['topic'] ?? '', body: JSON.parse(match['body'] ?? '') as Event['body']}] : [];
	});
}

/** Subscribes, and makes sure of it: what happens before a subscription is not told. */
async function listen(ctr: Ctr): Promise<Background> {
	const events = ctr.background('events');
	const probe = ctr.in(`${ctr.namespace}-probe`);
	await until('the subscription', async () => {
		await probe.run('namespaces', 'create', `${ctr.namespace}-p`);
		await probe.run('namespaces', 'rm', `${ctr.namespace}-p`);
		await sleep(50);
		return events.stdout.includes('-p');
	});
	return events;
}

scenario('a container\'s life is told in order', async ({t, ctr, images, same}) => {
	await using events = await listen(ctr);
	await ctr.run('run', '--rm', images.busybox, 'told', 'sh', '-c', 'exit 3');
	await until('the last events', () => ['/containers/delete', '/tasks/delete'].every(last => read(events, ctr.namespace).some(({topic}) => topic === last)));
	const mine = read(events, ctr.namespace);
	const tasks = mine.filter(({topic}) => topic.startsWith('/tasks/'));
	t.deepEqual(tasks.map(({topic}) => topic), ['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
	const exit = tasks[2]?.body;
	t.is(exit?.['container_id'], 'told');
	t.is(exit?.['id'], 'told');
	t.is(exit?.['exit_status'], 3);
	same('topics', mine.map(({topic}) => topic).filter(topic => !topic.startsWith('/tasks/')).toSorted());
	same('keys', tasks.map(({topic, body}) => [topic, Object.keys(body).toSorted()]));
}, {pairs: true});

scenario('an exec is told with its id', async ({t, ctr, images, same}) => {
	await ctr.ok('run', '-d', images.busybox, 'host', 'sleep', '60');
	await using events = await listen(ctr);
	await ctr.run('tasks', 'exec', '--exec-id', 'beside', 'host', 'sh', '-c', 'exit 4');
	await ctr.ok('tasks', 'pause', 'host');
	await ctr.ok('tasks', 'resume', 'host');
	await ctr.ok('tasks', 'rm', '--force', 'host');
	await ctr.ok('containers', 'rm', 'host');
	// An exit comes from the shim, and what is deleted is told by the daemon.
	const exitsIn = (all: readonly Event[]) => all.filter(({topic}) => topic === '/tasks/exit').map(({body}) => [body['id'], body['exit_status']]);
	await until('the last events', () => {
		const all = read(events, ctr.namespace);
		return all.some(({topic}) => topic === '/containers/delete') && exitsIn(all).length >= 2;
	});
	const mine = read(events, ctr.namespace).filter(({topic}) => topic.startsWith('/tasks/'));
	same('topics', mine.map(({topic}) => topic).filter(topic => topic !== '/tasks/delete'));
	t.deepEqual(exitsIn(mine), [['beside', 4], ['host', 137]]);
});

scenario('images, content, snapshots and namespaces are told', async ({t, ctr, fresh, images, same}) => {
	await using events = await listen(ctr);
	const other = fresh();
	await other.ok('images', 'pull', '--plain-http', images.busybox);
	await other.ok('images', 'tag', images.busybox, 'local/x:1');
	await other.ok('images', 'rm', '--sync', images.busybox, 'local/x:1');
	await until('the last event', () => read(events, other.namespace).filter(({topic}) => topic === '/images/delete').length === 2);
	const topics = read(events, other.namespace).map(({topic}) => topic);
	t.true(topics.includes('/images/create'));
	t.true(topics.includes('/snapshot/prepare'));
	t.true(topics.includes('/snapshot/commit'));
	same('topics', [...new Set(topics)].filter(topic => topic.startsWith('/images')).toSorted());
});

scenario('a filter chooses events', async ({t, ctr, daemon, images}) => {
	await using events = ctr.background('events', 'topic=="/tasks/exit"');
	using client = clientOf(daemon, ctr);
	const event = {typeUrl: 'containerd.events.TaskExit', value: TaskExit.encode(TaskExit.fromPartial({containerId: 'probe'})).finish()};
	await until('the subscription', async () => {
		await client.services.events.publish({topic: '/tasks/exit', event}, {namespace: `${ctr.namespace}-probe`});
		return events.stdout.includes('"probe"');
	}, {everyMs: 50});
	await ctr.ok('run', '--rm', images.busybox, 'filtered', 'true');
	await until('the exit', () => read(events, ctr.namespace).length > 0);
	t.deepEqual([...new Set(read(events, ctr.namespace).map(({topic}) => topic))], ['/tasks/exit']);
});

scenario('a filter that is none is refused', async ({t, ctr}) => {
	t.regex(await ctr.fails('events', 'topic=~=='), /invalid argument/v);
});
