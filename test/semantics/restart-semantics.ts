import {appendFile} from 'node:fs/promises';
import path from 'node:path';
import {until} from '../helpers/until.ts';
import type {Fact} from './semantics-suite.ts';
import {digestOf, write} from './write-content.ts';

/** What the end of a daemon does, and what outlives it. */
export function restartSemantics(fact: Fact): void {
	fact('an ingest and a lease outlive the request and the daemon; nothing but a lock on a ref dies with its request', async (t, room) => {
		using client = room.fresh();
		const {content, leases} = client.services;
		await leases.create({id: 'long', labels: {kind: 'test'}});
		await write(client, 'up', 'abc', {lease: 'long'});
		await room.daemon.kill9();
		await room.daemon.start();
		t.deepEqual((await leases.list({})).leases.map(({id, labels}) => ({id, labels})), [{id: 'long', labels: {kind: 'test'}}]);
		t.is((await content.status({ref: 'up'})).status?.offset, 3n);
		await write(client, 'up', 'def', {offset: 3, digest: digestOf('abcdef'), lease: 'long'});
		t.is((await content.info({digest: digestOf('abcdef')})).info?.size, 6n);
	});

	fact('what shims write to their log is the daemon\'s, again after a restart', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		const log = path.join(room.bundle(id), 'log');
		await appendFile(log, 'a first line of the shim\n');
		await until('the line', async () => (await room.daemon.log()).includes('a first line of the shim'));
		await room.daemon.restart();
		await until('the task', async () => tasks.get({containerId: id}).then(() => true, () => false));
		await appendFile(log, 'a second line of the shim\n');
		await until('the other line', async () => (await room.daemon.log()).includes('a second line of the shim'));
		await room.remove(id);
		t.pass();
	});

	fact('trap 9: SIGTERM cuts open waits and subscriptions at once', async (t, room) => {
		const {tasks, events} = room.client.services;
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		const waits = Array.from({length: 3}, async () => t.throwsAsync(tasks.wait({containerId: id}), {code: 'UNAVAILABLE'}));
		const subscription = t.throwsAsync((async () => {
			for await (const event of events.subscribe({filters: ['topic==nothing']})) {
				void event;
			}
		})(), {code: 'UNAVAILABLE'});
		await tasks.get({containerId: id});
		const begun = performance.now();
		t.true(await room.daemon.stop());
		await Promise.all([...waits, subscription]);
		t.true(performance.now() - begun < 15_000);
		await room.daemon.start();
		await until('the task', async () => tasks.get({containerId: id}).then(() => true, () => false));
		await room.remove(id);
	});
}
