import test from 'ava';
import {connect, isKeelsonError, Lease, type Client} from '../../client/index.ts';
import {Daemon, type Program} from '../helpers/daemon.ts';
import type {Release} from '../helpers/releases.ts';
import {until} from '../helpers/until.ts';

const snapshotter = 'overlayfs';
const target = {mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${'ab'.repeat(32)}`, size: 7n};
const container = (id: string) => ({id, runtime: {name: 'io.containerd.runc.v2'}, spec: {typeUrl: 'some.spec', value: Buffer.from('{}')}});

/** Declares what each of the 16 services of `client.services` does with a daemon; `release` is that of containerd. */
export function servicesSuite(program: Program, release?: Release): void {
	let daemon: Daemon;
	let client: Client;
	const serves = (since: Release): boolean => release === undefined || release >= since;

	test.before(async () => {
		daemon = await Daemon.start(program);
		client = connect(daemon.places.address, {namespace: daemon.namespace('services')});
	});
	test.after.always(async () => {
		client?.close();
		await daemon?.[Symbol.asyncDispose]();
	});

	test.serial('version, introspection and namespaces say who serves, and for whom', async t => {
		const {version, introspection, namespaces} = client.services;
		t.regex((await version.version({})).version, /^\D*\d/);
		t.not((await introspection.server({})).uuid, '');
		const {plugins} = await introspection.plugins({filters: ['type==io.containerd.snapshotter.v1']});
		t.true(plugins.some(({id}) => id === snapshotter));
		if (serves('2.1')) {
			t.like((await introspection.pluginInfo({type: 'io.containerd.snapshotter.v1', id: snapshotter})).plugin, {id: snapshotter});
		}
		const name = daemon.namespace('named');
		await namespaces.create({namespace: {name, labels: {a: '1'}}});
		await namespaces.update({namespace: {name, labels: {b: '2'}}, updateMask: ['labels.b']});
		t.deepEqual((await namespaces.get({name})).namespace?.labels, {a: '1', b: '2'});
		t.true((await namespaces.list({})).namespaces.some(one => one.name === name));
		await namespaces.delete({name});
		// Asking for one that is not there is no error, here and in containerd: it has no labels.
		t.deepEqual((await namespaces.get({name})).namespace?.labels, {});
		t.false((await namespaces.list({})).namespaces.some(one => one.name === name));
	});

	test.serial('containers and images are of a namespace, the client\'s or the call\'s', async t => {
		const {containers, images} = client.services;
		const namespace = daemon.namespace('other');
		await containers.create({container: container('one')});
		await containers.create({container: container('one')}, {namespace});
		await containers.update({container: {...container('one'), labels: {a: 'b'}}, updateMask: ['labels']}, {namespace});
		t.deepEqual((await containers.get({id: 'one'})).container?.labels, {});
		t.deepEqual((await containers.list({}, {namespace})).containers.map(({labels}) => labels), [{a: 'b'}]);
		const listed: string[] = [];
		for await (const {container: one} of containers.listStream({})) {
			listed.push(one?.id ?? '');
		}
		t.deepEqual(listed, ['one']);
		await images.create({image: {name: 'i', target}});
		await t.throwsAsync(images.get({name: 'i'}, {namespace}), {code: 'NOT_FOUND'});
		await images.update({image: {name: 'i', target, labels: {x: 'y'}}, updateMask: ['labels']});
		t.like((await images.list({filters: ['labels.x==y']})).images[0], {name: 'i'});
		await images.delete({name: 'i'});
		await containers.delete({id: 'one'});
		await containers.delete({id: 'one'}, {namespace});
	});

	test.serial('content, snapshots and diffs belong to the lease of their call', async t => {
		const {content, snapshots, diff, leases} = client.services;
		const lease = await Lease.create(client.services);
		const call = {lease: lease.id};
		await snapshots.prepare({snapshotter, key: 'base'}, call);
		await snapshots.commit({snapshotter, key: 'base', name: 'one'}, call);
		const {mounts} = await snapshots.prepare({snapshotter, key: 'child', parent: 'one'}, call);
		t.deepEqual((await snapshots.mounts({snapshotter, key: 'child'})).mounts, mounts);
		const {mounts: left} = await snapshots.view({snapshotter, key: 'view', parent: 'one'}, call);
		t.is((await snapshots.stat({snapshotter, key: 'child'})).info?.parent, 'one');
		await snapshots.update({snapshotter, info: {name: 'child', labels: {a: 'b'}}, updateMask: ['labels']});
		t.true((await snapshots.usage({snapshotter, key: 'child'})).inodes >= 0n);
		// An empty tree is a layer too; what is compared of it is applied to another.
		const {diff: layer} = await diff.diff({left, right: mounts, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip'}, call);
		const digest = layer?.digest ?? '';
		t.is((await content.info({digest})).info?.size, layer?.size);
		const {applied} = await diff.apply({diff: layer, mounts}, call);
		t.regex(applied?.digest ?? '', /^sha256:/);
		const chunks: Uint8Array[] = [];
		for await (const {data} of content.read({digest})) {
			chunks.push(data);
		}
		t.is(Buffer.concat(chunks).length, Number(layer?.size));
		await content.update({info: {digest, labels: {a: 'b'}}, updateMask: ['labels.a']});
		for await (const {info} of content.list({filters: ['labels.a==b']})) {
			t.deepEqual(info.map(one => one.digest), [digest]);
		}
		t.deepEqual((await content.listStatuses({})).statuses, []);
		await t.throwsAsync(content.status({ref: 'nobody'}), {code: 'NOT_FOUND'});
		await t.throwsAsync(content.abort({ref: 'nobody'}), {code: 'NOT_FOUND'});
		const types = (await leases.listResources({id: lease.id})).resources.map(({type}) => type);
		t.true(types.includes('content') && types.includes(`snapshots/${snapshotter}`), types.join(' '));
		await snapshots.remove({snapshotter, key: 'view'});
		await leases.deleteResource({id: lease.id, resource: {type: 'content', id: digest}});
		await leases.addResource({id: lease.id, resource: {type: 'content', id: digest}});
		t.true((await leases.list({filters: [`id==${lease.id}`]})).leases.length === 1);
		await leases.delete({id: lease.id, sync: true});
		await t.throwsAsync(content.info({digest}), {code: 'NOT_FOUND'});
		await t.throwsAsync(snapshots.stat({snapshotter, key: 'one'}), {code: 'NOT_FOUND'});
		if (serves('2.1')) {
			// containerd's overlayfs has none.
			await snapshots.cleanup({snapshotter}).catch((error: unknown) => t.true(isKeelsonError(error, 'UNIMPLEMENTED') && daemon.kind === 'containerd', String(error)));
		}
		// It is gone: that is no failure.
		await lease[Symbol.asyncDispose]();
	});

	test.serial('events are an iteration that a signal ends; what is published and forwarded comes through it', async t => {
		const {events} = client.services;
		const stop = new AbortController();
		const heard: string[] = [];
		const listening = (async () => {
			for await (const {topic, type, body} of client.events({filters: [`namespace==${client.namespace}`], signal: stop.signal})) {
				heard.push(`${topic} ${type} ${Buffer.from(body).toString()}`);
			}
		})();
		const event = {typeUrl: 'some.type', value: Buffer.from('body')};
		const forward = async (): Promise<unknown> => events.forward({envelope: {timestamp: {seconds: 5n, nanos: 0}, namespace: client.namespace, topic: '/x/forwarded', event}});
		await until('both to be heard', async () => {
			await events.publish({topic: '/x/published', event});
			await forward();
			return heard.length >= 2;
		});
		stop.abort();
		await listening;
		t.true(heard.includes('/x/published some.type body') && heard.includes('/x/forwarded some.type body'), heard.join());
	});

	test.serial('tasks, streams, transfers, sandboxes and mounts answer with containerd\'s codes', async t => {
		const {tasks, transfer, sandboxStore, sandboxController, mounts, streaming} = client.services;
		t.deepEqual((await tasks.list({})).tasks, []);
		const containerId = 'nobody';
		for (const call of [
			tasks.get({containerId}), tasks.start({containerId}), tasks.delete({containerId}), tasks.kill({containerId, signal: 9}), tasks.wait({containerId}),
			tasks.pause({containerId}), tasks.resume({containerId}), tasks.listPids({containerId}), tasks.update({containerId}), tasks.closeIO({containerId}),
			tasks.resizePty({containerId}), tasks.exec({containerId, execId: 'e', spec: {typeUrl: 'x', value: Buffer.from('{}')}}), tasks.deleteProcess({containerId, execId: 'e'}),
			tasks.checkpoint({containerId}), tasks.create({containerId}),
		]) {
			await t.throwsAsync(call, {code: 'NOT_FOUND'});
		}
		t.deepEqual((await tasks.metrics({filters: ['id==nobody']})).metrics, []);
		const code = async (call: Promise<unknown>): Promise<string> => call.then(() => 'OK', (error: unknown) => isKeelsonError(error) ? error.code : String(error));
		const refused = await code(transfer.transfer({source: {typeUrl: 'no.such/End', value: Buffer.alloc(0)}, destination: {typeUrl: 'no.such/End', value: Buffer.alloc(0)}}));
		// containerd 2.1 has no code for it.
		t.true(refused === 'UNIMPLEMENTED' || (refused === 'UNKNOWN' && daemon.kind === 'containerd'), refused);
		t.true(['NOT_FOUND', 'UNIMPLEMENTED'].includes(await code(mounts.info({name: 'nobody'}))));
		const opened = streaming.stream((async function* () {
			yield {typeUrl: 'no.such/Init', value: Buffer.alloc(0)};
		})());
		t.true(['INVALID_ARGUMENT', 'UNIMPLEMENTED', 'UNKNOWN'].includes(await code(opened.next())));
		if (serves('2.1')) {
			await sandboxStore.create({sandbox: {sandboxId: 'sb', runtime: {name: 'io.containerd.runc.v2'}, labels: {a: 'b'}}});
			await sandboxStore.update({sandbox: {sandboxId: 'sb', runtime: {name: 'io.containerd.runc.v2'}, labels: {a: 'c'}}, fields: ['labels']});
			t.deepEqual((await sandboxStore.get({sandboxId: 'sb'})).sandbox?.labels, {a: 'c'});
			t.deepEqual((await sandboxStore.list({})).list.map(({sandboxId}) => sandboxId), ['sb']);
			await sandboxStore.delete({sandboxId: 'sb'});
			t.not(await code(sandboxController.status({sandboxId: 'nobody', sandboxer: 'shim'})), 'OK');
		}
	});

	test.serial('a signal ends calls of every kind, before and while they are under way', async t => {
		const {containers, events, content, tasks} = client.services;
		const over = {signal: AbortSignal.abort()};
		const read = async (stream: AsyncIterable<unknown>): Promise<void> => {
			for await (const one of stream) {
				void one;
			}
		};
		const never = async function* (): AsyncGenerator<{ref: string}, void, undefined> {
			yield {ref: 'open'};
			await new Promise(() => undefined);
		};
		await t.throwsAsync(containers.list({}, over), {code: 'CANCELLED'});
		await t.throwsAsync(read(events.subscribe({}, over)), {code: 'CANCELLED'});
		await t.throwsAsync(read(content.write(never(), over)), {code: 'CANCELLED'});
		await t.throwsAsync(read(events.subscribe({}, {signal: AbortSignal.timeout(50)})), {code: 'DEADLINE_EXCEEDED'});
		await t.throwsAsync(read(content.write(never(), {signal: AbortSignal.timeout(50)})), {code: 'DEADLINE_EXCEEDED'});
		// The connection has borne all that.
		t.deepEqual((await tasks.list({})).tasks, []);
	});
}
