import {copyFile, lstat, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Options, ProcessDetails} from '../../api/gen/types/runc/options/oci.ts';
import {Status} from '../../api/gen/types/task/task.ts';
import {connect} from '../../client/index.ts';
import {command, succeed} from '../helpers/command.ts';
import {programsOf} from '../helpers/releases.ts';
import {mountsUnder} from '../helpers/traces.ts';
import {until} from '../helpers/until.ts';
import type {Fact} from './semantics-suite.ts';
import {processOf} from './semantics-room.ts';

interface Made {
	root: {path: string};
	linux: {namespaces: {type: string; path?: string}[]} & Record<string, unknown>;
}

const parentOf = async (pid: number): Promise<number> => Number(/^PPid:\s*(?<pid>\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.groups?.['pid']);
const scoreOf = async (pid: number): Promise<number> => Number(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8'));

/** Containers that run. */
export function taskSemantics(fact: Fact): void {
	fact('a task may have no mounts, and a root of the client\'s own by its absolute path', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['cat', '/proc/self/mountinfo']);
		using reader = room.output();
		await tasks.create({containerId: id, rootfs: [], stdout: reader.path, stderr: reader.path});
		await tasks.start({containerId: id});
		let text = '';
		await reader.toEnd(chunk => {
			text += chunk.toString();
		});
		t.regex(text, / \/ \/ | \S*\/scratch\/rootfs \/ /);
		t.is((await tasks.wait({containerId: id})).exitStatus, 0);
		await room.remove(id);
	});

	fact('a signal to what is gone is NOT_FOUND, also when somebody else deleted it from the runtime', async (t, room) => {
		const {tasks} = room.client.services;
		await t.throwsAsync(tasks.kill({containerId: 'nobody', signal: 9}), {code: 'NOT_FOUND'});
		const root = path.join(room.daemon.scratch, 'runc-root');
		const options = {typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial({root})).finish()};
		const id = await room.container(['sleep', '60'], {options});
		await tasks.create({containerId: id});
		await tasks.start({containerId: id});
		// Options' Root: the runtime's state lies at <Root>/<namespace>/<id>.
		await succeed('runc', ['--root', path.join(root, room.client.namespace), 'delete', '--force', id]);
		t.is((await tasks.wait({containerId: id})).exitStatus, 137);
		await t.throwsAsync(tasks.kill({containerId: id, signal: 9}), {code: 'NOT_FOUND', message: /process already finished|no such container|does not exist/});
		await t.throwsAsync(tasks.kill({containerId: id, execId: 'nobody', signal: 9}), {code: 'NOT_FOUND'});
		await tasks.delete({containerId: id});
		await room.client.services.containers.delete({id});
	});

	fact('an init that is killed before its program began is a stopped task, whose wait answers', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		const {pid} = await tasks.create({containerId: id});
		process.kill(pid, 'SIGKILL');
		t.is((await tasks.wait({containerId: id})).exitStatus, 137);
		t.is((await tasks.get({containerId: id})).process?.status, Status.STOPPED);
		t.is((await tasks.delete({containerId: id})).exitStatus, 137);
		await room.remove(id);
	});

	fact('a create that fails says why in the runtime\'s words, and tells of no exit', async (t, room) => {
		await using heard = await room.listen();
		const id = await room.container(['/no/such/program']);
		await t.throwsAsync(room.client.services.tasks.create({containerId: id}), {message: /failed to create shim task: OCI runtime create failed: .*\/no\/such\/program.*no such file or directory/s});
		await room.client.services.containers.delete({id});
		await heard.has('the deletion', () => heard.events.some(({topic}) => topic === '/containers/delete'));
		await sleep(100);
		t.deepEqual(heard.of(id).filter(line => line.startsWith('/tasks/exit')), []);
	});

	fact('an exec whose init has ended is not started, stays created, and its deletion answers 0', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		await tasks.start({containerId: id});
		await tasks.exec({containerId: id, execId: 'late', spec: processOf(['true'])});
		await tasks.kill({containerId: id, signal: 9});
		await tasks.wait({containerId: id});
		const failed = await t.throwsAsync(tasks.start({containerId: id, execId: 'late'}));
		if (room.daemon.kind === 'keelson') {
			t.like(failed, {code: 'FAILED_PRECONDITION'});
			t.is((await tasks.get({containerId: id, execId: 'late'})).process?.status, Status.CREATED);
			t.is((await tasks.deleteProcess({containerId: id, execId: 'late'})).exitStatus, 0);
		}
		await room.remove(id);
	});

	fact('an exec that was never started is deleted with 0', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		await tasks.start({containerId: id});
		await t.throwsAsync(tasks.exec({containerId: id, execId: 'x'.repeat(77), spec: processOf(['true'])}), {code: 'INVALID_ARGUMENT'});
		await tasks.exec({containerId: id, execId: 'never', spec: processOf(['true'])});
		t.is((await tasks.get({containerId: id, execId: 'never'})).process?.status, Status.CREATED);
		t.is((await tasks.deleteProcess({containerId: id, execId: 'never'})).exitStatus, 0);
		await room.remove(id);
	});

	fact('pids are told with the id of their exec, as ProcessDetails', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		await tasks.start({containerId: id});
		await tasks.exec({containerId: id, execId: 'beside', spec: processOf(['sleep', '61'])});
		const {pid} = await tasks.start({containerId: id, execId: 'beside'});
		const {processes} = await tasks.listPids({containerId: id});
		const info = processes.find(one => one.pid === pid)?.info;
		t.is(info?.typeUrl, 'containerd.runc.v1.ProcessDetails');
		t.is(ProcessDetails.decode(info?.value ?? new Uint8Array(0)).execId, 'beside');
		await room.remove(id);
	});

	fact('metrics and resources have the types that clients decode', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		await tasks.start({containerId: id});
		await tasks.update({containerId: id, resources: {typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources', value: Buffer.from('{"pids":{"limit":31}}')}});
		const {metrics} = await tasks.metrics({filters: [`id==${id},namespace==${room.client.namespace}`]});
		t.regex(metrics[0]?.data?.typeUrl ?? '', /^io\.containerd\.cgroups\.v[12]\.Metrics$/);
		await room.remove(id);
	});

	fact('the plugin of tasks says where output may go', async (t, room) => {
		const {plugins} = await room.client.services.introspection.plugins({filters: ['type==io.containerd.runtime.v2,id==task']});
		// containerd says it since 2.2.
		t.is(plugins[0]?.exports['log-uri-schemes'], room.daemon.kind === 'keelson' ? 'fifo,binary,binary-v2,file' : undefined);
	}, {since: '2.1'});

	fact('a filter of tasks asks for id, pid and status; what is none is ignored', async (t, room) => {
		using client = room.fresh();
		const {tasks} = client.services;
		const ids: string[] = [];
		for (const isStarted of [true, false]) {
			const id = await room.container(['sleep', '60'], {client});
			ids.push(id);
			await tasks.create({containerId: id});
			await (isStarted ? tasks.start({containerId: id}) : undefined);
		}
		const [first = '', second = ''] = ids;
		const list = async (filter: string) => (await tasks.list({filter})).tasks.map(({id}) => id).toSorted();
		const pid = (await tasks.get({containerId: first})).process?.pid;
		for (const filter of ['', 'status=running', '~', 'container==x', 'labels.x', 'id==x,name==y']) {
			t.deepEqual(await list(filter), ids.toSorted(), filter);
		}
		// containerd takes no notice of any.
		for (const [filter, found] of [
			[`id==${first}`, [first]], [`pid==${pid}`, [first]], ['status==running', [first]], ['status=="RUNNING"', [first]], ['status!=running', [second]], ['status~=|^crea|', [second]],
			[`id==${second},status==running`, []], ['id==nobody', []],
		] as const) {
			t.deepEqual(await list(filter), room.daemon.kind === 'keelson' ? [...found] : ids.toSorted(), filter);
		}
		for (const id of ids) {
			await room.remove(id, client);
		}
	});

	fact('a shim is killed for want of memory a little sooner than the daemon', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		const {pid} = await tasks.create({containerId: id});
		t.is(await scoreOf(await parentOf(pid)), Math.min(await scoreOf(room.daemon.pid) + 1, 1000));
		await room.remove(id);
	});

	fact('a shim listens below /run/containerd/s, whatever the length of namespace and id', async (t, room) => {
		using client = connect(room.daemon.places.address, {namespace: room.daemon.namespace('x'.repeat(67))});
		t.is(client.namespace.length, 76);
		const id = 'y'.repeat(64);
		const source = await client.services.containers.get({id}).catch(() => undefined);
		t.is(source, undefined);
		const short = await room.container(['sleep', '60'], {client, spec: made => ({...made, root: {path: room.rootfs}})});
		const {container} = await client.services.containers.get({id: short});
		await client.services.containers.create({container: {...container, id}});
		await client.services.tasks.create({containerId: id});
		const bundle = room.bundle(id, client);
		const said = await readFile(path.join(bundle, 'bootstrap.json'), 'utf8').catch(async () => readFile(path.join(bundle, 'address'), 'utf8'));
		t.regex(said, /unix:\/\/\/run\/containerd\/s\/[\da-f]{64}/);
		await room.remove(id, client);
		await client.services.containers.delete({id: short});
	});

	fact('a shim is told by flags and environment who asks, for whom, and of what age the daemon is', async (t, room) => {
		const {tasks} = room.client.services;
		const [shim, said] = [path.join(room.daemon.scratch, 'containerd-shim-recording-v2'), path.join(room.daemon.scratch, 'shim.said')];
		await writeFile(shim, `#!/bin/sh\n{ echo "args $*"; env; } >> ${said}\nexec ${programsOf('1.7')}/containerd-shim-runc-v2 "$@"\n`, {mode: 0o755});
		const id = await room.container(['sleep', '60'], {runtime: shim});
		const {pid} = await tasks.create({containerId: id});
		t.is((await readFile(path.join(room.bundle(id), 'shim-binary-path'), 'utf8').catch(() => shim)).trim(), shim);
		// What a shim that died leaves is taken away by its own binary.
		const bundle = room.bundle(id);
		process.kill(await parentOf(pid), 'SIGKILL');
		const text = await until('the deletion', async () => {
			const all = await readFile(said, 'utf8');
			return / delete$/m.test(all) ? all : undefined;
		});
		await until('the task to go', async () => tasks.get({containerId: id}).then(() => false, () => true));
		await room.client.services.containers.delete({id});
		const start = text.split('\n').find(line => line.startsWith('args ') && line.endsWith(' start')) ?? '';
		const {places: {address}} = room.daemon;
		for (const words of [`-namespace ${room.client.namespace}`, `-address ${address}`, '-publish-binary /', `-id ${id}`]) {
			t.true(start.includes(words), `${words} in: ${start}`);
		}
		const environment = new Set(text.split('\n'));
		for (const line of ['GOMAXPROCS=2', 'MAX_SHIM_VERSION=2', `TTRPC_ADDRESS=${address}.ttrpc`, `GRPC_ADDRESS=${address}`, `NAMESPACE=${room.client.namespace}`]) {
			// Those before 1.7 tell neither their age nor a gRPC address.
			t.true(environment.has(line) || (room.daemon.name === 'containerd 1.6' && /^(?:MAX|GRPC|NAMESPACE)/.test(line)), line);
		}
		t.regex(text, new RegExp(`^args .*-id ${id} -bundle ${bundle}.* delete$`, 'm'));
	});

	fact('the shim of a bundle is one regular executable, which works wherever it is copied to', async (t, room) => {
		const {tasks} = room.client.services;
		const id = await room.container(['sleep', '60']);
		await tasks.create({containerId: id});
		const binary = await readFile(path.join(room.bundle(id), 'shim-binary-path'), 'utf8');
		t.true((await lstat(binary)).isFile());
		const copy = path.join(room.daemon.scratch, 'copied-shim');
		await copyFile(binary, copy);
		t.regex((await succeed(copy, ['-v'])).stdout, /\d/);
		await room.remove(id);
	}, {since: '2.1'});

	fact('a namespace that the spec names, or that a user namespace owns, is not pinned; the client reads its own spec', async (t, room) => {
		const {tasks, containers} = room.client.services;
		const pin = (id: string): string => `${room.daemon.places.state}/netns/${room.client.namespace}-${id}`;
		const own = await room.container(['sleep', '60']);
		const before = (await containers.get({id: own})).container?.spec?.value;
		await tasks.create({containerId: own});
		t.deepEqual(await mountsUnder(pin(own)), room.daemon.kind === 'keelson' ? [pin(own)] : []);
		t.true(Buffer.from((await containers.get({id: own})).container?.spec?.value ?? []).equals(before ?? new Uint8Array(0)));
		const joined = await room.container(['sleep', '60'], {spec: made => {
			const {linux, ...rest} = made as Made;
			return {...rest, linux: {...linux, namespaces: linux.namespaces.map(one => one.type === 'network' ? {...one, path: `/proc/${process.pid}/ns/net`} : one)}};
		}});
		await tasks.create({containerId: joined});
		t.deepEqual(await mountsUnder(pin(joined)), []);
		await room.remove(joined);
		await room.remove(own);
		if ((await command('unshare', ['-U', 'true'])).code === 0) {
			const map = [{containerID: 0, hostID: 0, size: 65_536}];
			const mapped = await room.container(['sleep', '60'], {spec: made => {
				const {linux, ...rest} = made as Made;
				return {...rest, linux: {...linux, uidMappings: map, gidMappings: map, namespaces: [...linux.namespaces, {type: 'user'}]}};
			}});
			await tasks.create({containerId: mapped});
			t.deepEqual(await mountsUnder(pin(mapped)), []);
			await room.remove(mapped);
		}
		t.deepEqual((await mountsUnder(`${room.daemon.places.state}/netns`)).filter(point => point.includes(room.client.namespace)), []);
	});
}
