import test from 'ava';
import {ContainersDefinition} from '../../api/gen/services/containers/v1/containers.ts';
import {ImagesDefinition} from '../../api/gen/services/images/v1/images.ts';
import {LeasesDefinition} from '../../api/gen/services/leases/v1/leases.ts';
import {NamespacesDefinition} from '../../api/gen/services/namespaces/v1/namespace.ts';
import {SnapshotsDefinition} from '../../api/gen/services/snapshots/v1/snapshots.ts';
import {scopeOf, type CallContext} from '../../contracts/grpc/grpc.ts';
import type {Scope} from '../../contracts/metadata/metadata.ts';
import {containersService} from '../../plugins/grpc-containers/service.ts';
import {imagesService} from '../../plugins/grpc-images/service.ts';
import {leasesService} from '../../plugins/grpc-leases/service.ts';
import {namespacesService} from '../../plugins/grpc-namespaces/service.ts';
import {snapshotsService} from '../../plugins/grpc-snapshots/service.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {sqliteInMemory} from '../metadata/sqlite-in-memory.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const target = {mediaType: 'application/vnd.oci.image.index.v1+json', digest, size: 1234n, annotations: {x: 'y'}};

/** The real metadata in memory, and the adapters of its records. */
async function open(): Promise<GrpcRoom> {
	const house = sqliteInMemory();
	await house.namespaces.create({name: 'default', labels: {}});
	const scope = (context: CallContext): Scope => house.scope(scopeOf(context));
	const room = await GrpcRoom.open([
		namespacesService(house.namespaces),
		imagesService(context => scope(context).images),
		containersService(context => scope(context).containers),
		leasesService(context => scope(context).leases),
		snapshotsService((context, name) => scope(context).snapshotter(name)),
	]);
	const close = room[Symbol.asyncDispose].bind(room);
	room[Symbol.asyncDispose] = async () => {
		await close();
		await house[Symbol.asyncDispose]();
	};
	return room;
}

test('namespaces are made, read, listed, changed and deleted', async t => {
	await using room = await open();
	const {fullName, methods} = NamespacesDefinition;
	const call = room.client;
	t.deepEqual((await call.unary(fullName, methods.create, {namespace: {name: 'n1', labels: {a: '1'}}})).namespace, {name: 'n1', labels: {a: '1'}});
	await t.throwsAsync(call.unary(fullName, methods.create, {namespace: {name: 'n1', labels: {}}}), {code: 'ALREADY_EXISTS', message: /already exists/});
	await t.throwsAsync(call.unary(fullName, methods.create, {}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(call.unary(fullName, methods.create, {namespace: {name: '../x', labels: {}}}), {code: 'INVALID_ARGUMENT'});
	const {namespace} = await call.unary(fullName, methods.update, {namespace: {name: 'n1', labels: {b: '2'}}, updateMask: ['labels.b']});
	t.deepEqual(namespace?.labels, {a: '1', b: '2'});
	t.deepEqual((await call.unary(fullName, methods.list, {})).namespaces.map(({name}) => name), ['default', 'n1']);
	t.deepEqual((await call.unary(fullName, methods.list, {filter: 'labels.b==2'})).namespaces.map(({name}) => name), ['n1']);
	await call.unary(fullName, methods.delete, {name: 'n1'});
	t.deepEqual((await call.unary(fullName, methods.list, {})).namespaces.map(({name}) => name), ['default']);
	// Go's client asks for the labels of a namespace before all else, be it there or not; and a label makes it.
	t.deepEqual((await call.unary(fullName, methods.get, {name: 'n1'})).namespace, {name: 'n1', labels: {}});
	t.deepEqual((await call.unary(fullName, methods.list, {})).namespaces.map(({name}) => name), ['default']);
	await call.unary(fullName, methods.update, {namespace: {name: 'n2', labels: {a: '1'}}, updateMask: ['labels.a']});
	t.deepEqual((await call.unary(fullName, methods.get, {name: 'n2'})).namespace, {name: 'n2', labels: {a: '1'}});
	await t.throwsAsync(call.unary(fullName, methods.update, {namespace: {name: '../x', labels: {a: '1'}}, updateMask: ['labels.a']}), {code: 'INVALID_ARGUMENT'});
});

test('an image keeps its target, times and labels', async t => {
	await using room = await open();
	const {fullName, methods} = ImagesDefinition;
	const call = room.client;
	const image = {name: 'example.test/a:1', labels: {l: 'v'}, target, createdAt: undefined, updatedAt: undefined};
	const made = await call.unary(fullName, methods.create, {image, sourceDateEpoch: {seconds: 1_700_000_000n, nanos: 5_000_000}});
	t.deepEqual(made.image?.createdAt, {seconds: 1_700_000_000n, nanos: 5_000_000});
	t.deepEqual((await call.unary(fullName, methods.get, {name: image.name})).image?.target, target);
	const changed = await call.unary(fullName, methods.update, {image: {...image, labels: {l: 'w'}}, updateMask: ['labels']});
	t.deepEqual(changed.image?.labels, {l: 'w'});
	await t.throwsAsync(call.unary(fullName, methods.update, {image, updateMask: ['name']}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(call.unary(fullName, methods.create, {image: {...image, name: 'b', target: {...target, digest: 'sha256:x'}}}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(call.unary(fullName, methods.create, {image: {...image, name: 'b', target: undefined}}), {code: 'INVALID_ARGUMENT', message: /target of image "b" is missing/});
	await t.throwsAsync(call.unary(fullName, methods.create, {image: {...image, name: 'b', target: {...target, size: -1n}}}), {code: 'INVALID_ARGUMENT', message: /size .* is -1/});
	await t.throwsAsync(call.unary(fullName, methods.list, {filters: ['name==']}), {code: 'INVALID_ARGUMENT'});
	const other = {...target, digest: `sha256:${'b'.repeat(64)}`};
	await t.throwsAsync(call.unary(fullName, methods.delete, {name: image.name, target: other}), {code: 'NOT_FOUND'});
	await call.unary(fullName, methods.delete, {name: image.name, sync: true, target});
	t.deepEqual((await call.unary(fullName, methods.list, {})).images, []);
});

test('a container gives back its spec, options and extensions byte for byte', async t => {
	await using room = await open();
	const {fullName, methods} = ContainersDefinition;
	const call = room.client;
	const any = (text: string) => ({typeUrl: `example.test/${text}`, value: Buffer.from([0xff, 0x00, ...Buffer.from(text)])});
	const container = {
		id: 'c1', labels: {a: 'b'}, image: 'i', runtime: {name: 'io.containerd.runc.v2', options: any('options')}, spec: any('spec'), snapshotter: '', snapshotKey: '',
		createdAt: undefined, updatedAt: undefined, extensions: {one: any('one')}, sandbox: '',
	};
	await call.unary(fullName, methods.create, {container});
	const got = (await call.unary(fullName, methods.get, {id: 'c1'})).container;
	t.is(got?.spec?.typeUrl, 'example.test/spec');
	t.deepEqual(Buffer.from(got?.spec?.value ?? []), container.spec.value);
	t.deepEqual(Buffer.from(got?.runtime?.options?.value ?? []), container.runtime.options.value);
	t.deepEqual(Buffer.from(got?.extensions['one']?.value ?? []), container.extensions.one.value);
	t.is((await Array.fromAsync(call.stream(fullName, methods.listStream, {})))[0]?.container?.id, 'c1');
	t.is((await call.unary(fullName, methods.list, {filters: ['labels.a==b']})).containers.length, 1);
	await t.throwsAsync(call.unary(fullName, methods.create, {container: {...container, id: 'x/y'}}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(call.unary(fullName, methods.create, {container: {...container, id: 'c2', runtime: undefined}}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(call.unary(fullName, methods.create, {}), {code: 'INVALID_ARGUMENT'});
	await call.unary(fullName, methods.delete, {id: 'c1'});
	await t.throwsAsync(call.unary(fullName, methods.delete, {id: 'c1'}), {code: 'NOT_FOUND'});
});

test('leases hold resources', async t => {
	await using room = await open();
	const {fullName, methods} = LeasesDefinition;
	const call = room.client;
	t.is((await call.unary(fullName, methods.create, {id: 'l1', labels: {a: 'b'}})).lease?.id, 'l1');
	t.not((await call.unary(fullName, methods.create, {})).lease?.id, '');
	await call.unary(fullName, methods.addResource, {id: 'l1', resource: {type: 'snapshots/memory', id: 'k'}});
	t.deepEqual((await call.unary(fullName, methods.listResources, {id: 'l1'})).resources, [{type: 'snapshots/memory', id: 'k'}]);
	await t.throwsAsync(call.unary(fullName, methods.addResource, {id: 'l1'}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(call.unary(fullName, methods.addResource, {id: 'none', resource: {type: 'content', id: digest}}), {code: 'NOT_FOUND'});
	await call.unary(fullName, methods.deleteResource, {id: 'l1', resource: {type: 'snapshots/memory', id: 'k'}});
	t.is((await call.unary(fullName, methods.list, {filters: ['id==l1']})).leases.length, 1);
	await call.unary(fullName, methods.delete, {id: 'l1', sync: true});
	await t.throwsAsync(call.unary(fullName, methods.listResources, {id: 'l1'}), {code: 'NOT_FOUND'});
});

test('a snapshotter must be named, and be there', async t => {
	await using room = await open();
	const {fullName, methods} = SnapshotsDefinition;
	const call = room.client;
	await t.throwsAsync(call.unary(fullName, methods.prepare, {key: 'k'}), {code: 'INVALID_ARGUMENT', message: /snapshotter argument missing/});
	await t.throwsAsync(call.unary(fullName, methods.prepare, {snapshotter: 'nope', key: 'k'}), {code: 'INVALID_ARGUMENT', message: /snapshotter not loaded: nope/});
	await t.throwsAsync(call.stream(fullName, methods.list, {snapshotter: 'nope'}).next(), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(call.unary(fullName, methods.update, {snapshotter: 'memory'}), {code: 'INVALID_ARGUMENT'});
	t.is((await call.unary(fullName, methods.prepare, {snapshotter: 'memory', key: 'k'})).mounts.length, 1);
});

test('a call without a namespace is refused, whatever it is about', async t => {
	await using house = sqliteInMemory();
	await using room = await GrpcRoom.open([imagesService(context => house.scope(scopeOf(context)).images)], {headers: {}});
	await t.throwsAsync(room.client.unary(ImagesDefinition.fullName, ImagesDefinition.methods.list, {}), {code: 'FAILED_PRECONDITION', message: 'namespace is required: failed precondition'});
});
