import {createHash} from 'node:crypto';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {gunzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {DiffDefinition} from '../../api/gen/services/diff/v1/diff.ts';
import type {Differ} from '../../contracts/diff/diff.ts';
import {mediaTypes} from '../../contracts/oci/media-type.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {diffService} from '../../plugins/grpc-diff/service.ts';
import {Connection} from '../../plugins/proxy-grpc/connection.ts';
import {DiffProxy} from '../../plugins/proxy-grpc/diff-proxy.ts';
import {FileDiffer} from '../helpers/file-differ.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';

const {fullName: SERVICE, methods} = DiffDefinition;
const digestOf = (bytes: string | Uint8Array): `sha256:${string}` => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const knowsNothing: Differ = {
	apply: async () => Promise.reject(new KeelsonError('UNIMPLEMENTED', 'apply')),
	compare: async () => Promise.reject(new KeelsonError('UNIMPLEMENTED', 'compare')),
};

async function open(t: ExecutionContext, differs: readonly Differ[] = [new FileDiffer()]) {
	const store = new MemoryContentStore();
	const room = await GrpcRoom.open([diffService({differs, syncFs: false, contentFor: () => store})]);
	t.teardown(async () => room[Symbol.asyncDispose]());
	const tree = async (text: string) => {
		const directory = await mkdtemp(path.join(tmpdir(), 'keelson-diff-'));
		t.teardown(async () => rm(directory, {recursive: true, force: true}));
		await writeFile(path.join(directory, 'file'), text);
		return {directory, mounts: [{type: 'bind', source: directory, target: '', options: ['rbind']}]};
	};
	const read = async (digest: string): Promise<Buffer> => {
		await using blob = await store.open(digest as `sha256:${string}`);
		return Buffer.concat(await Array.fromAsync(blob.read()));
	};
	return {store, room, client: room.client, tree, read};
}

test('a compared layer is content with its labels and its diffID, and a second time is the same', async t => {
	const {client, store, tree, read} = await open(t);
	const {mounts} = await tree('abc');
	const {diff} = await client.unary(SERVICE, methods.diff, {right: mounts, ref: 'mine', labels: {a: 'b'}});
	t.is(diff?.mediaType, mediaTypes.ociLayerGzip);
	t.is(gunzipSync(await read(diff?.digest ?? '')).toString(), 'abc');
	const info = await store.info(diff?.digest as `sha256:${string}`);
	t.is(info.size, Number(diff?.size));
	t.deepEqual(info.labels, {'a': 'b', 'containerd.io/uncompressed': digestOf('abc')});
	t.deepEqual((await client.unary(SERVICE, methods.diff, {right: mounts})).diff, diff);
	t.deepEqual(await store.statuses(), []);
});

test('a plain layer is its own diffID, and begins anew over what an ingest has', async t => {
	const {client, store, tree} = await open(t);
	const {mounts} = await tree('abc');
	{
		await using writer = await store.writer({ref: 'mine'});
		await writer.write(Buffer.from('rubbish'));
	}
	const {diff} = await client.unary(SERVICE, methods.diff, {right: mounts, ref: 'mine', mediaType: mediaTypes.ociLayer});
	t.like(diff, {digest: digestOf('abc'), size: 3n});
	t.deepEqual((await client.unary(SERVICE, methods.diff, {right: mounts, mediaType: mediaTypes.ociLayer})).diff, diff);
});

test('what fails leaves no ingest of its own', async t => {
	const {client, store} = await open(t);
	await t.throwsAsync(client.unary(SERVICE, methods.diff, {}), {code: 'INVALID_ARGUMENT', message: /no mount/});
	t.deepEqual(await store.statuses(), []);
});

test('a layer is applied from content, by the first differ that knows it', async t => {
	const {client, store, tree} = await open(t, [knowsNothing, new FileDiffer()]);
	const {directory, mounts} = await tree('');
	await using writer = await store.writer({ref: 'r'});
	await writer.write(Buffer.from('layer'));
	const digest = await writer.commit();
	const diff = {mediaType: mediaTypes.ociLayer, digest, size: 5n, annotations: {}};
	t.like((await client.unary(SERVICE, methods.apply, {diff, mounts})).applied, {digest, size: 5n, mediaType: mediaTypes.ociLayer});
	t.is(await readFile(path.join(directory, 'applied'), 'utf8'), 'layer');
	await t.throwsAsync(client.unary(SERVICE, methods.apply, {diff: {...diff, mediaType: 'odd'}, mounts}), {code: 'UNIMPLEMENTED', message: /media type odd/});
	await t.throwsAsync(client.unary(SERVICE, methods.apply, {diff: {...diff, digest: digestOf('none')}, mounts}), {code: 'NOT_FOUND'});
	await t.throwsAsync(client.unary(SERVICE, methods.apply, {diff: {...diff, digest: 'x'}, mounts}), {code: 'INVALID_ARGUMENT'});
	await t.throwsAsync(client.unary(SERVICE, methods.apply, {mounts}), {code: 'INVALID_ARGUMENT', message: /diff is missing/});
});

test('a differ behind a socket does what it does here', async t => {
	const {room, store, tree} = await open(t);
	const {mounts} = await tree('abc');
	await using proxy = new DiffProxy(new Connection({address: room.address, headers: {'containerd-namespace': 'default'}}), store);
	for (const mediaType of [mediaTypes.ociLayer, mediaTypes.ociLayerGzip]) {
		const {bytes, diffId} = await proxy.compare([], mounts, {mediaType});
		const layer = Buffer.concat(await Array.fromAsync(bytes));
		t.is((mediaType === mediaTypes.ociLayerGzip ? gunzipSync(layer) : layer).toString(), 'abc');
		t.is(await diffId, digestOf('abc'));
		const {directory, mounts: target} = await tree('');
		const descriptor = {mediaType, digest: digestOf(layer), size: layer.byteLength};
		t.deepEqual(await proxy.apply({descriptor, read: () => bytes}, target), {mediaType: mediaTypes.ociLayer, digest: digestOf('abc'), size: 3});
		t.is(await readFile(path.join(directory, 'applied'), 'utf8'), 'abc');
	}
	await t.throwsAsync(proxy.compare([], mounts, {mediaType: 'odd'}), {code: 'UNIMPLEMENTED'});
});
