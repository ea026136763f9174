/** Tasks, containers in shims which outlive the daemon; and sandboxes, each a shim that containers share. */

import path from 'node:path';
import * as z from 'zod';
import {Differ} from '../../contracts/diff/diff.ts';
import {EventBus} from '../../contracts/event/event.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {MetricSource} from '../../contracts/metrics/metrics.ts';
import {MountManager} from '../../contracts/mount-manager/mount-manager.ts';
import {Network, NetworkNamespaces} from '../../contracts/network/network.ts';
import {SandboxController} from '../../contracts/sandbox/sandbox.ts';
import {TaskManager} from '../../contracts/task/task.ts';
import {all, definePlugin, maybe, one, type DaemonFacts} from '../../kernel/index.ts';
import {deadlinesFrom} from './manager/deadlines.ts';
import {ShimTaskManager} from './manager/manager.ts';
import {findShimScript, writeLauncher} from './manager/own-launcher.ts';
import type {RuntimeSearch} from './manager/runtime-binary.ts';
import {ShimSandboxController} from './manager/sandbox-controller.ts';
import {SandboxShims} from './manager/sandbox-shims.ts';
import {ShimMetrics} from './manager/shim-metrics.ts';
import {ShimProgram, type ShimEnvironment} from './manager/shim-program.ts';
import {StartProtocols} from './manager/start-protocols.ts';
import {bufferBytesDefault} from './protocol/stdio-mode.ts';

/** The table [plugins."io.containerd.runtime.v2.task"]. */
const config = z.strictObject({
	platforms: z.array(z.string()).default([]).describe('containerd\'s key; the host\'s own platform is what runs here'),
	sched_core: z.boolean().default(false).describe('containerd\'s key; not followed'),
	containers_per_shim: z.int().min(1).max(1024).default(128).describe('containers of a namespace that share one shim process of ours; 1 gives each its own'),
	spare_shim_seconds: z.number().min(0).max(86_400).default(60).describe('how long an empty shim of ours is kept for the next container; 0 for none'),
	warm_spare: z.boolean().default(true).describe('whether a process waits to become the next shim of ours, so that no container waits for its start'),
	shim: z.string().default('').describe('launcher of our own shim; by default, that of this package'),
	runtimes: z.record(z.string(), z.string()).default({}).describe('shim binaries by runtime name, above those found by their names'),
	oci_runtimes: z.record(z.string(), z.string().min(1)).default({}).describe('OCI runtimes by runtime name, such as "io.containerd.crun.v2" = "crun": our own shim drives them, where a client\'s options name none'),
	stdio: z.enum(['direct', 'copied', 'buffered']).default('direct').describe('where a client gives a FIFO: the container holds it itself; a copy that waits for the client; or one that never waits and drops what is not read'),
	stdio_buffer_bytes: z.int().min(65_536).max(1 << 30).default(bufferBytesDefault).describe('with buffered stdio, what is kept of each stream until somebody reads'),
	differ: z.string().default('walking').describe('what unpacks checkpoints, by the last part of its id'),
	runtime_root: z.string().default('').describe('where OCI runtimes keep state, a directory a namespace; by default, runc/ in the daemon\'s state'),
});

const tasks = definePlugin({
	id: 'io.containerd.runtime.v2.task',
	provides: TaskManager,
	requires: {
		metadata: one(Metadata), events: one(EventBus), namespaces: one(NetworkNamespaces), networks: all(Network), differs: all(Differ), sandboxes: all(SandboxController),
		mounts: maybe(MountManager),
	},
	config,
	exports: {'log-uri-schemes': 'fifo,binary,binary-v2,file'},
	async init({config: {containers_per_shim: containersPerShim, spare_shim_seconds: spareSeconds, warm_spare: hasWarmSpare, shim, runtimes, oci_runtimes: ociRuntimes, runtime_root: runtimeRoot, stdio, stdio_buffer_bytes: stdioBufferBytes, differ}, services, root, state, daemon, booted, lifetime, log}) {
		const own = shim === '' ? await launcherIn(root) : shim;
		return lifetime.use(await ShimTaskManager.open({
			...services, begin: booted, differ: services.differs.get(differ), log, containersPerShim, hasWarmSpare,
			spareMs: spareSeconds * 1000,
			place: {state, root},
			deadlines: deadlinesFrom(daemon.config['timeouts']),
			search: searchFor(daemon, own, {overrides: runtimes, ociRuntimes}),
			environment: environmentOf(daemon, {runtimeRoot, stdio, stdioBufferBytes}),
		}));
	},
});

const sandboxes = definePlugin({
	id: 'io.containerd.sandbox.controller.v1.shim',
	provides: SandboxController,
	requires: {},
	config: z.strictObject({
		shim: config.shape.shim, runtimes: config.shape.runtimes, oci_runtimes: config.shape.oci_runtimes, runtime_root: config.shape.runtime_root, stdio: config.shape.stdio,
		stdio_buffer_bytes: config.shape.stdio_buffer_bytes,
	}),
	async init({config: {shim, runtimes, oci_runtimes: ociRuntimes, runtime_root: runtimeRoot, stdio, stdio_buffer_bytes: stdioBufferBytes}, root, state, daemon, lifetime, log}) {
		const own = shim === '' ? await launcherIn(root) : shim;
		const environment = environmentOf(daemon, {runtimeRoot, stdio, stdioBufferBytes});
		const protocols = new StartProtocols(own);
		return new ShimSandboxController(lifetime.use(new SandboxShims({
			place: {state, root},
			search: searchFor(daemon, own, {overrides: runtimes, ociRuntimes}),
			program: (binary, hasWarmSpare) => new ShimProgram(binary, {...environment, hasWarmSpare}, protocols),
			deadlines: deadlinesFrom(daemon.config['timeouts']),
			log,
		})));
	},
});

const metrics = definePlugin({
	id: 'io.containerd.metrics.v1.shims',
	provides: MetricSource,
	requires: {manager: one(TaskManager)},
	config: z.strictObject({}),
	init({services: {manager}, skip}) {
		return manager instanceof ShimTaskManager ? new ShimMetrics(manager) : skip('tasks are not in shims of this room');
	},
});

export const plugin = [tasks, sandboxes, metrics];

async function launcherIn(root: string): Promise<string> {
	return writeLauncher(path.join(root, '.bin'), {
		node: process.execPath, script: await findShimScript(), cache: process.env['NODE_COMPILE_CACHE'] ?? path.join(root, '.compile-cache'),
	});
}

function searchFor(daemon: DaemonFacts, own: string, names: Pick<RuntimeSearch, 'overrides' | 'ociRuntimes'>): RuntimeSearch {
	return {own, ...names, searchPath: [process.env['PATH'] ?? '', path.dirname(daemon.binary)].join(':')};
}

function environmentOf({config: facts, binary, state, version}: DaemonFacts, {runtimeRoot, stdio, stdioBufferBytes}: Pick<ShimEnvironment, 'runtimeRoot' | 'stdio' | 'stdioBufferBytes'>): ShimEnvironment {
	const grpcAddress = textAt(facts, 'grpc');
	return {
		grpcAddress,
		ttrpcAddress: textAt(facts, 'ttrpc') || (grpcAddress === '' ? '' : `${grpcAddress}.ttrpc`),
		daemonBinary: binary,
		runtimeRoot: runtimeRoot || path.join(state, 'runc'),
		version, stdio, stdioBufferBytes,
		debug: textAt(facts, 'debug', 'level') === 'debug',
	};
}

function textAt(config: Readonly<Record<string, unknown>>, table: string, key = 'address'): string {
	const value = (config[table] as Readonly<Record<string, unknown>> | undefined)?.[key];
	return typeof value === 'string' ? value : '';
}
