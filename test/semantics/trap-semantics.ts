import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Fact} from './semantics-suite.ts';
import {SPEC_TYPE, processOf} from './semantics-room.ts';

/** Traps of tasks: those of content and snapshots lie with these. */
export function trapSemantics(fact: Fact): void {
	fact('trap 1: output ends when the process has, before anybody deletes the task', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sh', '-c', 'echo out; exit 3']);
		using reader = room.output();
		await tasks.create({containerId: id, stdout: reader.path, stderr: reader.path});
		await tasks.start({containerId: id});
		let text = '';
		await reader.toEnd(chunk => {
			text += chunk.toString();
		}, 10_000);
		t.is(text, 'out\n');
		t.is((await tasks.wait({containerId: id})).exitStatus, 3);
		await room.remove(id);
	});

	fact('trap 2: the exit of init has the container\'s id, that of an exec its own', async (t, room) => {
		const {tasks} = room.client.services;
		await using heard = await room.listen();
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		await tasks.start({containerId: id});
		await tasks.exec({containerId: id, execId: 'beside', spec: processOf(['true'])});
		await tasks.start({containerId: id, execId: 'beside'});
		await tasks.wait({containerId: id, execId: 'beside'});
		await tasks.kill({containerId: id, signal: 9});
		await tasks.wait({containerId: id});
		const exits = () => heard.events.filter(({topic, fields}) => topic === '/tasks/exit' && fields?.['containerId'] === id).map(({fields}) => fields?.['id']);
		await heard.has('two exits', () => exits().length === 2);
		t.deepEqual(exits(), ['beside', id]);
		await room.remove(id);
	});

	fact('trap 3: the exit of init is the last, also when execs ran on', async (t, room) => {
		const {tasks} = room.client.services;
		await using heard = await room.listen();
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		await tasks.start({containerId: id});
		for (const execId of ['e1', 'e2']) {
			await tasks.exec({containerId: id, execId, spec: processOf(['sleep', '60'])});
			await tasks.start({containerId: id, execId});
		}
		await tasks.kill({containerId: id, signal: 9});
		await tasks.wait({containerId: id});
		const exits = () => heard.of(id).filter(line => line.startsWith('/tasks/exit'));
		await heard.has('three exits', () => exits().length === 3);
		t.is(exits().at(-1), '/tasks/exit');
		t.deepEqual(exits().toSorted(), ['/tasks/exit', '/tasks/exit e1', '/tasks/exit e2']);
		await room.remove(id);
	}, {since: '2.1'});

	fact('trap 4: an exit that comes before the answer to start is told after the start, once', async (t, room) => {
		const {tasks} = room.client.services;
		await using heard = await room.listen();
		for (let round = 0; round < 5; round++) {
			const id = await room.container(['true']);
			await tasks.create({containerId: id});
			await tasks.start({containerId: id});
			await tasks.wait({containerId: id});
			await heard.has('the exit', () => heard.of(id).includes('/tasks/exit'));
			await sleep(20);
			t.deepEqual(heard.of(id), ['/tasks/create', '/tasks/start', '/tasks/exit']);
			await room.remove(id);
		}
	});

	fact('trap 6: the bytes of the spec go unchanged into config.json', async (t, room) => {
		const {containers, tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		const {container} = await containers.get({id});
		const made = JSON.parse(Buffer.from(container?.spec?.value ?? []).toString()) as {linux: {namespaces: {type: string}[]}};
		made.linux.namespaces = made.linux.namespaces.filter(({type}) => type !== 'network');
		// Neither the spaces nor a key that nobody knows are the daemon's to change, nor a number that JavaScript cannot hold.
		const text = `\n ${JSON.stringify(made, undefined, '\t').replace('{', '{ "io.nobody.knows" : 12345678901234567890,')} \n`;
		await containers.update({container: {...container, id, spec: {typeUrl: SPEC_TYPE, value: Buffer.from(text)}}, updateMask: ['spec']});
		await tasks.create({containerId: id});
		t.is(await readFile(path.join(room.bundle(id), 'config.json'), 'utf8'), text);
		await room.remove(id);
		const pinned = await room.container(['sleep', '60'], {spec: one => ({...one, 'io.nobody.knows': 1})});
		await tasks.create({containerId: pinned});
		const [told, written] = [(await containers.get({id: pinned})).container?.spec?.value, await readFile(path.join(room.bundle(pinned), 'config.json'), 'utf8')];
		const withoutPin = JSON.parse(written) as {linux: {namespaces: {type: string; path?: string}[]}};
		for (const namespace of withoutPin.linux.namespaces) {
			delete namespace.path;
		}
		t.deepEqual(withoutPin, JSON.parse(Buffer.from(told ?? []).toString()));
		await room.remove(pinned);
	});
}
