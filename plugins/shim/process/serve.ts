import type {OciRuntimes} from '../../../contracts/oci-runtime/oci-runtime.ts';
import {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {TtrpcServer} from '../../../lib/ttrpc/server.ts';
import {EventPublisher} from './event-publisher.ts';
import {lazyService} from './lazy-service.ts';
import {IoOpener} from './open-io.ts';
import {Reaper} from './reaper.ts';
import {ShimSandboxes} from './sandboxes.ts';
import {Shim} from './shim.ts';
import type {ShimArguments} from './shim-arguments.ts';
import {ShimListener} from './shim-listener.ts';
import {logTo} from './shim-log.ts';
import {taskServices} from './task-service.ts';

/** With no container and nobody connected for this long, a shim ends: its daemon is gone. Whoever started it may take longer to connect at first. */
const abandonedMs = 1000;
const neverAskedMs = 10_000;
const lookMs = 250;
const flushMs = 5000;
/** Each container may have several clients who wait for it. */
const callsMax = 16_384;

// It has no metrics of its own.
const sandboxMethods = ['CreateSandbox', 'StartSandbox', 'Platform', 'StopSandbox', 'WaitSandbox', 'SandboxStatus', 'PingSandbox', 'ShutdownSandbox'];

export interface ServeOptions {
	readonly arguments: ShimArguments;
	readonly socketPath: string;
	/** The bundle that the shim was started for, whose log the daemon reads. */
	readonly bundle: string;
	/** Makes the runtimes, which spawn through the reaper. */
	readonly runtimes: (reaper: Reaper) => OciRuntimes;
	/** Called once the socket answers. */
	readonly listening: () => void;
}

/**
 * The life of a shim's process: serves until it is asked to end and holds no container, or is abandoned. Rejects with ALREADY_EXISTS
 * when another shim answers at the socket.
 */
export async function serve({arguments: {namespace, ttrpcAddress, runtimeRoot, socketDirectory, stdio, stdioBufferBytes}, socketPath, bundle, runtimes, listening}: ServeOptions): Promise<void> {
	await using lifetime = new AsyncDisposableStack();
	const ended = Promise.withResolvers<void>();
	const log = (message: string): void => logTo(bundle, 'warning', message);
	const reaper = lifetime.use(new Reaper());
	const publisher = lifetime.use(new EventPublisher(ttrpcAddress, namespace, log));
	const watcher = lifetime.use(new DescriptorWatcher());
	const shim = new Shim({
		namespace, runtimeRoot, stdio, reaper, watcher, log, runtimes: runtimes(reaper),
		io: new IoOpener({reaper, watcher, socketDirectory, bufferBytes: stdioBufferBytes}),
		publish: (type, value, delivered) => publisher.publish(type, value, delivered),
	});
	const sandboxes = new ShimSandboxes(shim);
	const endIfEmpty = (): void => {
		if (shim.size === 0 && sandboxes.size === 0) {
			ended.resolve();
		}
	};
	const services = [...taskServices(shim, endIfEmpty), lazyService('containerd.runtime.sandbox.v1.Sandbox', sandboxMethods, async () => {
		const {sandboxService} = await import('./sandbox-service.ts');
		return sandboxService(sandboxes, endIfEmpty);
	})];
	const server = lifetime.use(new TtrpcServer({services, callsMax}));
	const listener = lifetime.use(await ShimListener.open(socketPath, server));
	listening();
	let idleSince = performance.now();
	let limitMs = neverAskedMs;
	const look = setInterval(() => {
		if (shim.size > 0 || sandboxes.size > 0 || listener.connections > 0) {
			idleSince = performance.now();
			limitMs = abandonedMs;
		}
		if (performance.now() - idleSince > limitMs) {
			ended.resolve();
		}
	}, lookMs);
	lifetime.defer(() => clearInterval(look));
	await ended.promise;
	await listener[Symbol.asyncDispose]();
	await server.close(AbortSignal.timeout(flushMs));
	await publisher.flush(flushMs);
}
