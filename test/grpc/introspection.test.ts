import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {HealthCheckResponse_ServingStatus as ServingStatus, HealthDefinition} from '../../api/gen/grpc/health/v1/health.ts';
import {IntrospectionDefinition} from '../../api/gen/services/introspection/v1/introspection.ts';
import {RuntimeRequest} from '../../api/gen/types/introspection.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {PluginStatus} from '../../kernel/status.ts';
import {healthService} from '../../plugins/grpc-healthcheck/service.ts';
import {deprecationsIn} from '../../plugins/grpc-introspection/deprecations.ts';
import {daemonUuid, pidNamespace} from '../../plugins/grpc-introspection/identity.ts';
import {introspectionService} from '../../plugins/grpc-introspection/service.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';

const {fullName: SERVICE, methods} = IntrospectionDefinition;

function statusOf(type: string, name: string, more: Partial<PluginStatus> = {}): PluginStatus {
	return {id: `${type}.${name}`, type, name, requires: [], exports: {}, capabilities: [], state: 'started', ...more};
}

const plugins = [
	statusOf('io.containerd.content.v1', 'content'),
	statusOf('io.containerd.snapshotter.v1', 'overlayfs', {requires: ['io.containerd.content.v1'], exports: {root: '/r'}, capabilities: ['rebase']}),
	statusOf('io.containerd.snapshotter.v1', 'btrfs', {state: 'skipped', error: new Error('skip plugin: no btrfs here')}),
	statusOf('io.containerd.differ.v1', 'erofs', {state: 'failed', error: new KeelsonError('UNAVAILABLE', 'mkfs.erofs is missing')}),
	statusOf('io.containerd.runtime.v2', 'task'),
];

async function open(): Promise<GrpcRoom> {
	return GrpcRoom.open([healthService(), introspectionService({
		status: {plugins: () => plugins},
		identity: {uuid: 'u', pid: 77, pidNamespace: await pidNamespace()},
		deprecations: deprecationsIn({plugins: {'io.containerd.grpc.v1.cri': {registry: {mirrors: {'docker.io': {endpoint: ['https://mirror.example']}}, configs: {}}}}}),
		tasks: {runtimeInfo: async ({runtimePath, options}) => ({typeUrl: 'info', value: Buffer.from(`${runtimePath} ${options?.typeUrl ?? 'none'}`)})},
	})], {headers: {}});
}

test('plugins are told with what they need, offer and suffer from', async t => {
	await using room = await open();
	const {plugins: told} = await room.client.unary(SERVICE, methods.plugins, {});
	t.deepEqual(told.map(({id}) => id), ['content', 'overlayfs', 'btrfs', 'erofs', 'task']);
	t.like(told[1], {type: 'io.containerd.snapshotter.v1', requires: ['io.containerd.content.v1'], exports: {root: '/r'}, capabilities: ['rebase'], initErr: undefined});
	t.is(told[1]?.platforms[0]?.os, 'linux');
	t.deepEqual(told[0]?.platforms, []);
	t.like(told[2]?.initErr, {code: 2, message: 'skip plugin: no btrfs here'});
	t.like(told[3]?.initErr, {code: 14, message: 'mkfs.erofs is missing'});
});

test('filters choose among plugins', async t => {
	await using room = await open();
	const ids = async (...filters: string[]) => (await room.client.unary(SERVICE, methods.plugins, {filters})).plugins.map(({id}) => id);
	t.deepEqual(await ids('type==io.containerd.snapshotter.v1'), ['overlayfs', 'btrfs']);
	t.deepEqual(await ids('type==io.containerd.snapshotter.v1,id==btrfs', 'id==content'), ['content', 'btrfs']);
	await t.throwsAsync(ids('type=='), {code: 'INVALID_ARGUMENT'});
});

test('the server tells its id, process and namespace', async t => {
	await using room = await open();
	const {uuid, pid, pidns} = await room.client.unary(SERVICE, methods.server, {});
	t.is(uuid, 'u');
	t.is(pid, 77n);
	t.is(pidns, await pidNamespace());
});

test('the server tells which keys of its configuration are of the past, and since when it knows', async t => {
	await using room = await open();
	const {deprecations} = await room.client.unary(SERVICE, methods.server, {});
	t.deepEqual(deprecations.map(({id}) => id), ['io.containerd.deprecation/cri-registry-mirrors']);
	t.regex(deprecations[0]?.message ?? '', /`mirrors`.*"io\.containerd\.grpc\.v1\.cri".*config_path/);
	t.true(Math.abs(Number(deprecations[0]?.lastOccurrence?.seconds) - Date.now() / 1000) < 60);
	for (const registry of [undefined, null, 7, {}, {config_path: '/etc/certs.d'}, {mirrors: {}, auths: {}, configs: {}}]) {
		t.deepEqual(deprecationsIn({version: 2, plugins: {'io.containerd.grpc.v1.cri': {registry}}}), []);
	}
	const whole = {mirrors: {a: {}}, auths: {a: {}}, configs: {a: {}}};
	t.is(deprecationsIn({plugins: {'io.containerd.cri.v1.images': {registry: whole}, 'io.containerd.grpc.v1.cri': {registry: whole}}}).length, 3);
});

test('a runtime is asked for what it says of itself', async t => {
	await using room = await open();
	const options = {typeUrl: 'containerd.types.RuntimeRequest', value: RuntimeRequest.encode({runtimePath: 'io.containerd.runc.v2', options: undefined}).finish()};
	const {plugin, extra} = await room.client.unary(SERVICE, methods.pluginInfo, {type: 'io.containerd.runtime.v2', id: 'task', options});
	t.is(plugin?.id, 'task');
	t.is(Buffer.from(extra?.value ?? []).toString(), 'io.containerd.runc.v2 none');
	t.is((await room.client.unary(SERVICE, methods.pluginInfo, {type: 'io.containerd.content.v1', id: 'content'})).extra, undefined);
	await t.throwsAsync(room.client.unary(SERVICE, methods.pluginInfo, {type: 'io.containerd.content.v1', id: 'nope'}), {code: 'NOT_FOUND'});
	for (const wrong of [{typeUrl: 'other', value: new Uint8Array()}, {...options, value: Buffer.from([0x0a, 0x7f])}]) {
		await t.throwsAsync(room.client.unary(SERVICE, methods.pluginInfo, {type: 'io.containerd.runtime.v2', id: 'task', options: wrong}), {code: 'INVALID_ARGUMENT'});
	}
});

test('the daemon\'s id is made once, and made anew where it cannot be read', async t => {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-uuid-'));
	t.teardown(async () => rm(directory, {recursive: true, force: true}));
	const file = path.join(directory, 'uuid');
	const uuid = await daemonUuid(file);
	t.is(await daemonUuid(file), uuid);
	await writeFile(file, 'half');
	t.not(await daemonUuid(file), uuid);
});

test('health is told for the daemon as a whole', async t => {
	await using room = await open();
	const {fullName, methods: health} = HealthDefinition;
	t.is((await room.client.unary(fullName, health.check, {})).status, ServingStatus.SERVING);
	await t.throwsAsync(room.client.unary(fullName, health.check, {service: 'x'}), {code: 'NOT_FOUND'});
	const watch = room.client.stream(fullName, health.watch, {});
	t.is((await watch.next()).value?.status, ServingStatus.SERVING);
	await watch.return();
});
