import {createHash} from 'node:crypto';
import {EventsDefinition} from '../../api/gen/services/ttrpc/events/v1/events.ts';
import {connectTtrpc} from '../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../lib/ttrpc/typed-service.ts';
import {hold} from './hold.ts';
import type {Fact} from './semantics-suite.ts';
import {SPEC_TYPE, json} from './semantics-room.ts';
import {digestOf, write} from './write-content.ts';

/** Types of sections 4 and 6 that a daemon keeps for clients without knowing them. */
const kept = [
	'github.com/containerd/cri/pkg/store/sandbox/Metadata', 'github.com/containerd/cri/pkg/store/container/Metadata', 'io.containerd.cri.v1/UpdatedResources',
	'github.com/containerd/containerd/v2/cmd/ctr/commands/NetworkMetaData', 'io.containerd.ocicrypt.v1.Payload', 'runtimeoptions.v1.Options', 'nobody.knows/This',
] as const;

const target = {mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${'ab'.repeat(32)}`, size: 7n, annotations: {kind: 'made'}};
// No JSON, no protobuf: whoever looks into it changes it.
const odd = Uint8Array.from([0, 255, 123, 10, 32, 128, 0]);
const record = (id: string, more: object = {}) => ({id, runtime: {name: 'io.containerd.runc.v2'}, spec: json(SPEC_TYPE, {}), ...more});

/** Containers, images, leases, namespaces, events: what is kept and given back. */
export function recordSemantics(fact: Fact): void {
	fact('filters know the fields of images, containers, snapshots, leases and ingests', async (t, room) => {
		using client = room.fresh();
		const {images, containers, snapshots, leases, content} = client.services;
		await images.create({image: {name: 'here/a:1', target, labels: {'a.b/c': 'x y'}}});
		await images.create({image: {name: 'here/b:1', target: {...target, mediaType: 'other/type', annotations: {}}}});
		for (const filter of [
			'name==here/a:1', `target.digest==${target.digest},target.mediatype~=manifest`, 'labels."a.b/c"=="x y"', 'labels."a.b/c"',
		]) {
			t.true((await images.list({filters: [filter]})).images.some(({name}) => name === 'here/a:1'), filter);
		}
		t.deepEqual((await images.list({filters: ['target.mediatype==other/type']})).images.map(({name}) => name), ['here/b:1']);
		await containers.create({container: record('one', {image: 'here/a:1', labels: {kind: 'test'}})});
		await containers.create({container: record('two', {runtime: {name: 'io.other.v1'}})});
		for (const [filter, ids] of [
			['id==one', ['one']], ['runtime.name==io.other.v1', ['two']], ['image~=^here/', ['one']], ['labels.kind==test', ['one']], ['labels.kind!=test', ['two']], ['id!=nobody', ['one', 'two']],
		] as const) {
			t.deepEqual((await containers.list({filters: [filter]})).containers.map(({id}) => id), [...ids], filter);
		}
		const snapshotter = 'overlayfs';
		const held = await hold(client);
		await snapshots.prepare({snapshotter, key: 'base-active', labels: {kind: 'base'}}, held);
		await snapshots.commit({snapshotter, key: 'base-active', name: 'base'}, held);
		await snapshots.prepare({snapshotter, key: 'child', parent: 'base', labels: {kind: 'child'}}, held);
		for (const [filter, names] of [['kind==committed', ['base']], ['name==child', ['child']], ['parent==base', ['child']], ['labels.kind==child', ['child']]] as const) {
			const found: string[] = [];
			for await (const {info} of snapshots.list({snapshotter, filters: [filter]})) {
				found.push(...info.map(({name}) => name));
			}
			t.deepEqual(found, [...names], filter);
		}
		await leases.create({id: 'lease-1', labels: {kind: 'test'}});
		t.deepEqual((await leases.list({filters: ['id==lease-1']})).leases.map(({id}) => id), ['lease-1']);
		t.deepEqual((await leases.list({filters: ['labels.kind==test']})).leases.map(({id}) => id), ['lease-1']);
		t.deepEqual((await leases.list({filters: ['id==other']})).leases, []);
		await write(client, 'up-1', 'abc');
		t.deepEqual((await content.listStatuses({filters: ['ref==up-1']})).statuses.map(({ref}) => ref), ['up-1']);
		t.deepEqual((await content.listStatuses({filters: ['ref==up-2']})).statuses, []);
		await content.abort({ref: 'up-1'});
	});

	fact('a label has at most 4096 bytes, key and value together', async (t, room) => {
		using client = room.fresh();
		const {images, containers, snapshots, leases, content} = client.services;
		const [snapshotter, longest, longer] = ['overlayfs', {a: 'b'.repeat(4095)}, {a: 'b'.repeat(4096)}];
		await write(client, 'r', 'labelled', {digest: digestOf('labelled'), ...await hold(client)});
		for (const [labels, code] of [[longer, 'INVALID_ARGUMENT'], [longest, undefined]] as const) {
			for (const call of [
				async () => images.create({image: {name: 'i', target, labels}}), async () => containers.create({container: record('c', {labels})}),
				async () => snapshots.prepare({snapshotter, key: 's', labels}), async () => content.update({info: {digest: digestOf('labelled'), labels}, updateMask: ['labels']}),
				// containerd looks at no labels of leases.
				...room.daemon.kind === 'keelson' ? [async () => leases.create({id: 'l', labels})] : [],
			]) {
				await (code === undefined ? t.notThrowsAsync(call()) : t.throwsAsync(call(), {code}));
			}
		}
	});

	fact('a pattern sees what is absent as the empty text, and matches nothing when it is no expression', async (t, room) => {
		using client = room.fresh();
		const {images, containers} = client.services;
		await images.create({image: {name: 'bare', target}});
		await images.create({image: {name: 'labelled', target, labels: {kind: 'x'}}});
		await containers.create({container: record('bare')});
		await containers.create({container: record('labelled', {labels: {kind: 'x'}})});
		for (const [filters, found] of [
			[['labels.kind~=^$'], ['bare']], [['labels.kind~=|.*|'], ['bare', 'labelled']], [['labels.kind~=x'], ['labelled']], [['labels.missing~=^$'], ['bare', 'labelled']],
			[['labels.kind~=/(/'], []], [['labels.missing~=/(/'], []], [['labels.kind~=/(?=x)/'], []], [['labels.kind~=/[/', 'labels.kind==x'], ['labelled']],
		] as const) {
			t.deepEqual((await images.list({filters: [...filters]})).images.map(({name}) => name), [...found], filters.join(' '));
			t.deepEqual((await containers.list({filters: [...filters]})).containers.map(({id}) => id), [...found], filters.join(' '));
		}
	});

	fact('a value may be quoted with ", and what is matched also with |...| or /.../', async (t, room) => {
		using client = room.fresh();
		await client.services.images.create({image: {name: 'here/a:1', target}});
		for (const filter of ['name~=|^here/|', 'name~=/^here.a:1$/', 'name=="here/a:1"', 'name=="here\\x2fa:1"']) {
			t.is((await client.services.images.list({filters: [filter]})).images.length, 1, filter);
		}
		for (const filter of ['|name|==here/a:1', 'name~=|here', 'name=']) {
			await t.throwsAsync(client.services.images.list({filters: [filter]}), {code: 'INVALID_ARGUMENT'}, filter);
		}
		await using heard = await room.listen(client);
		const topics: string[] = [];
		const stop = new AbortController();
		const reading = (async () => {
			for await (const {topic, namespace} of client.events({filters: ['topic~=|^/images/|'], signal: stop.signal})) {
				topics.push(...namespace === client.namespace ? [topic] : []);
			}
		})();
		await heard.has('images/create heard by both', () => {
			void client.services.images.create({image: {name: `here/x:${topics.length}-${Date.now()}`, target}}).catch(() => undefined);
			void client.services.events.publish({topic: '/tasks/probe', event: {typeUrl: 'x', value: odd}}).catch(() => undefined);
			return topics.length > 0;
		});
		stop.abort();
		await reading;
		t.true(topics.every(topic => topic === '/images/create'), topics.join(' '));
	});

	fact('an update mask says what changes of a container; another field is refused', async (t, room) => {
		using client = room.fresh();
		const {containers} = client.services;
		await containers.create({container: record('one', {labels: {a: '1', b: '2'}, image: 'i', snapshotter: 'overlayfs', snapshotKey: 'k', extensions: {x: json('t/x', {})}})});
		const update = async (paths: readonly string[], container: object) => (await containers.update({container: {id: 'one', ...container}, updateMask: [...paths]})).container;
		t.deepEqual((await update(['labels.a'], {labels: {a: '9', b: 'ignored'}, image: 'ignored'}))?.labels, {a: '9', b: '2'});
		t.like(await update(['labels'], {labels: {c: '3'}}), {labels: {c: '3'}, image: 'i'});
		t.like(await update(['image'], {image: 'other'}), {image: 'other', labels: {c: '3'}});
		t.is((await update(['spec'], {spec: {typeUrl: 'odd', value: odd}}))?.spec?.typeUrl, 'odd');
		t.is((await update(['snapshotkey'], {snapshotKey: 'k2', snapshotter: 'overlayfs'}))?.snapshotKey, 'k2');
		t.deepEqual(Object.keys((await update(['extensions'], {extensions: {y: json('t/y', {})}}))?.extensions ?? {}), ['y']);
		for (const path of ['snapshotter', 'runtime', 'nothing', 'created_at']) {
			await t.throwsAsync(update([path], {labels: {}, spec: json(SPEC_TYPE, {}), runtime: {name: 'io.containerd.runc.v2'}, snapshotter: 'overlayfs'}), {code: 'INVALID_ARGUMENT'}, path);
		}
	});

	fact('an update mask says what changes of an image; another field is refused', async (t, room) => {
		using client = room.fresh();
		const {images} = client.services;
		await images.create({image: {name: 'a', target, labels: {a: '1', b: '2'}}});
		const update = async (paths: readonly string[], image: object) => (await images.update({image: {name: 'a', target, ...image}, updateMask: [...paths]})).image;
		t.deepEqual((await update(['labels.b'], {labels: {b: '8'}}))?.labels, {a: '1', b: '8'});
		t.like(await update(['labels'], {labels: {c: '3'}}), {labels: {c: '3'}});
		const other = {...target, digest: `sha256:${'cd'.repeat(32)}`};
		t.like((await update(['target'], {target: other}))?.target, {digest: other.digest});
		t.deepEqual((await update(['annotations'], {target: {...other, annotations: {new: 'one'}}}))?.target?.annotations, {new: 'one'});
		await t.throwsAsync(update(['name'], {target}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(update(['created_at'], {target}), {code: 'INVALID_ARGUMENT'});
	});

	fact('a call without a namespace is FAILED_PRECONDITION and says that one is required', async (t, room) => {
		const {services} = room.client;
		const call = {namespace: ''};
		for (const asked of [services.images.list({}, call), services.containers.list({}, call), services.leases.list({}, call), services.tasks.list({}, call), services.content.info({digest: target.digest}, call)]) {
			await t.throwsAsync(asked, {code: 'FAILED_PRECONDITION', message: /namespace is required/});
		}
	});

	fact('76 characters are the limit of ids of namespaces, containers and topics, and of no image, snapshot or ref', async (t, room) => {
		using client = room.fresh();
		const {services} = client;
		const [fits, long] = ['x'.repeat(76), 'x'.repeat(77)];
		await services.containers.create({container: record(fits)});
		await t.throwsAsync(services.containers.create({container: record(long)}), {code: 'INVALID_ARGUMENT'});
		await services.namespaces.create({namespace: {name: fits}});
		await services.namespaces.delete({name: fits});
		await t.throwsAsync(services.namespaces.create({namespace: {name: long}}), {code: 'INVALID_ARGUMENT'});
		const event = {typeUrl: 'x', value: odd};
		await services.events.publish({topic: `/${fits}/end`, event});
		await t.throwsAsync(services.events.publish({topic: `/${long}/end`, event}), {code: 'INVALID_ARGUMENT'});
		const longer = `${'y'.repeat(200)} /:@ë`;
		await services.images.create({image: {name: longer, target}});
		t.is((await services.images.get({name: longer})).image?.name, longer);
		await services.snapshots.prepare({snapshotter: 'overlayfs', key: longer}, await hold(client));
		t.is((await services.snapshots.stat({snapshotter: 'overlayfs', key: longer})).info?.name, longer);
		await write(client, longer, 'abc');
		t.is((await services.content.status({ref: longer})).status?.offset, 3n);
		await services.content.abort({ref: longer});
	});

	fact('sandboxes are found by id, runtime, sandboxer and labels, and a mask says what changes of one', async (t, room) => {
		using client = room.fresh();
		const {sandboxStore} = client.services;
		const one = {sandboxId: 'one', runtime: {name: 'io.one'}, sandboxer: 'shim', labels: {kind: 'x'}, spec: json(SPEC_TYPE, {}), extensions: {x: json('t/x', {})}};
		await sandboxStore.create({sandbox: one});
		await sandboxStore.create({sandbox: {sandboxId: 'two', runtime: {name: 'io.two'}, sandboxer: 'other'}});
		for (const [filter, ids] of [
			['id==one', ['one']], ['labels.kind==x', ['one']], ['labels.kind~=^$', ['two']], ['id!=nobody', ['one', 'two']],
			// containerd of 2.1 cannot be asked for these.
			...room.daemon.kind === 'keelson' ? [['runtime.name==io.two', ['two']], ['sandboxer==shim', ['one']]] as const : [],
		] as const) {
			t.deepEqual((await sandboxStore.list({filters: [filter]})).list.map(({sandboxId}) => sandboxId), [...ids], filter);
		}
		// containerd of 2.1 dies of one without a runtime.
		const update = async (fields: readonly string[], sandbox: object) => (await sandboxStore.update({sandbox: {sandboxId: 'one', runtime: {name: 'io.one'}, spec: json(SPEC_TYPE, {}), ...sandbox}, fields: [...fields]})).sandbox;
		t.like(await update(['spec'], {spec: {typeUrl: 'odd', value: odd}, labels: {a: 'ignored'}}), {spec: {typeUrl: 'odd'}, labels: {kind: 'x'}, runtime: {name: 'io.one'}});
		t.deepEqual(Object.keys((await update(['extensions.y'], {extensions: {y: json('t/y', {})}}))?.extensions ?? {}).toSorted(), ['x', 'y']);
		t.like(await update(['runtime'], {runtime: {name: 'io.three'}}), {runtime: {name: 'io.three'}, labels: {kind: 'x'}});
		t.like(await update([], {runtime: {name: 'io.three'}, labels: {b: '2'}}), {runtime: {name: 'io.three'}, labels: {b: '2'}});
		await t.throwsAsync(update([], {runtime: {name: 'io.one'}}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(update(['sandboxer'], {sandboxer: 'other'}), {code: 'INVALID_ARGUMENT'});
		await t.throwsAsync(update(['nothing'], {}), {code: 'INVALID_ARGUMENT'});
	}, {since: '2.1'});

	fact('76 characters are the limit of sandbox ids', async (t, room) => {
		using client = room.fresh();
		const {sandboxStore} = client.services;
		const sandbox = (sandboxId: string) => ({sandboxId, runtime: {name: 'io.containerd.runc.v2'}});
		await sandboxStore.create({sandbox: sandbox('x'.repeat(76))});
		if (room.daemon.kind === 'keelson') {
			await t.throwsAsync(sandboxStore.create({sandbox: sandbox('x'.repeat(77))}), {code: 'INVALID_ARGUMENT'});
		}
		t.like((await sandboxStore.get({sandboxId: 'x'.repeat(76)})).sandbox, {runtime: {name: 'io.containerd.runc.v2'}});
	}, {since: '2.1'});

	fact('forward takes any topic, and an Any that is empty', async (t, room) => {
		using client = room.fresh();
		await using heard = await room.listen(client);
		await using connection = await connectTtrpc(`${room.daemon.places.address}.ttrpc`, {signal: AbortSignal.timeout(10_000)});
		const forward = ttrpcClientFor(EventsDefinition, connection);
		const timestamp = {seconds: 1_700_000_000n, nanos: 5};
		for (const topic of ['/tasks/start', '/what/ever/deep', '/x']) {
			await forward.forward({envelope: {timestamp, namespace: client.namespace, topic, event: {typeUrl: 'some.type', value: odd}}}, {timeoutMs: 10_000});
		}
		await forward.forward({envelope: {timestamp, namespace: client.namespace, topic: '/empty/any', event: {typeUrl: '', value: new Uint8Array(0)}}}, {timeoutMs: 10_000});
		await heard.has('four events', () => heard.events.length === 4);
		t.deepEqual(heard.events.map(({topic}) => topic), ['/tasks/start', '/what/ever/deep', '/x', '/empty/any']);
		t.deepEqual(heard.events.map(({at}) => at?.getTime()), Array.from({length: 4}, () => 1_700_000_000_000));
		t.true(Buffer.from(heard.events[0]?.body ?? []).equals(odd));
	});

	fact('what nobody knows, in spec, extensions and options, comes back byte for byte', async (t, room) => {
		using client = room.fresh();
		const {containers} = client.services;
		for (const [at, typeUrl] of kept.entries()) {
			const any = {typeUrl, value: odd};
			await containers.create({container: record(`c${at}`, {spec: any, runtime: {name: 'io.x.v1', options: any}, extensions: {'some.thing/x': any}})});
			const {container} = await containers.get({id: `c${at}`});
			for (const back of [container?.spec, container?.runtime?.options, container?.extensions['some.thing/x']]) {
				t.is(back?.typeUrl, typeUrl);
				t.true(Buffer.from(back?.value ?? []).equals(odd), typeUrl);
			}
		}
	});

	fact('a type_url is compared as it is, and none has a prefix', async (t, room) => {
		using client = room.fresh();
		await using heard = await room.listen(client);
		await client.services.containers.create({container: record('one')});
		await client.services.containers.delete({id: 'one'});
		await client.services.images.create({image: {name: 'a', target}});
		await heard.has('three events', () => heard.events.length >= 3);
		t.deepEqual(heard.events.map(({type}) => type), ['containerd.events.ContainerCreate', 'containerd.events.ContainerDelete', 'containerd.services.images.v1.ImageCreate']);
	});

	fact('an image that is deleted synchronously is collected before the answer', async (t, room) => {
		using client = room.fresh();
		const {images, content} = client.services;
		const bytes = Buffer.from(`{"schemaVersion":2,"x":"${client.namespace}"}`);
		const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
		const lease = await client.services.leases.create({id: 'guard'});
		await write(client, 'manifest', bytes, {digest, lease: lease.lease?.id ?? ''});
		await images.create({image: {name: 'gone', target: {...target, digest, size: BigInt(bytes.length)}}});
		await client.services.leases.delete({id: 'guard', sync: true});
		t.is((await content.info({digest})).info?.digest, digest);
		await images.delete({name: 'gone', sync: true});
		await t.throwsAsync(content.info({digest}), {code: 'NOT_FOUND'});
	});
}
