import type {OciRuntimes} from '../../../contracts/oci-runtime/oci-runtime.ts';
import {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {TtrpcServer} from '../../../lib/ttrpc/server.ts';
import {adoptContainer, type Heir} from './adopt.ts';
import {DepotLink} from './depot-link.ts';
import {EventPublisher} from './event-publisher.ts';
import {lazyService} from './lazy-service.ts';
import {IoOpener} from './open-io.ts';
import {Reaper} from './reaper.ts';
import {endOfRuntimeCalls} from './runtime-calls.ts';
import {ShimSandboxes} from './sandboxes.ts';
import {Shim, type ShimPlace} from './shim.ts';
import type {ShimArguments} from './shim-arguments.ts';
import {ShimListener} from './shim-listener.ts';
import {logTo} from './shim-log.ts';
import {taskServices} from './task-service.ts';

/** With no container and nobody connected for this long, a shim ends: its daemon is gone. Whoever started it may take longer to connect at first. */
const abandonedMs = 1000;
const neverAskedMs = 10_000;
const lookMs = 250;
const flushMs = 5000;
const adoptsAtOnce = 4;
/** Each container may have several clients who wait for it. */
const callsMax = 16_384;

const sandboxMethods = [
	'CreateSandbox', 'StartSandbox', 'Platform', 'StopSandbox', 'WaitSandbox', 'SandboxStatus', 'PingSandbox', 'ShutdownSandbox', 'SandboxMetrics',
];

export interface ServeOptions {
	readonly arguments: ShimArguments;
	readonly socketPath: string;
	/** The bundle that the shim was started for, whose log the daemon reads. */
	readonly bundle: string;
	/** Makes the runtimes, which spawn through the reaper. */
	readonly runtimes: (reaper: Reaper) => OciRuntimes;
	/** Containers of a shim that is gone, taken up before anybody is answered. */
	readonly heirs?: readonly Heir[];
	/** Its sandboxes, in the same way. */
	readonly sandboxHeirs?: readonly {readonly id: string; readonly bundle: string}[];
	/** Called once the socket answers. */
	readonly listening: (depot: DepotLink) => void;
}

/**
 * The life of a shim's process: serves until it is asked to end and holds no container, or is abandoned. Rejects with ALREADY_EXISTS
 * when another shim answers at the socket.
 */
export async function serve({arguments: {namespace, ttrpcAddress, runtimeRoot, socketDirectory, stdio, stdioBufferBytes, depot: depotAt}, socketPath, bundle, runtimes, heirs = [], sandboxHeirs = [], listening}: ServeOptions): Promise<void> {
	await using lifetime = new AsyncDisposableStack();
	const ended = Promise.withResolvers<void>();
	const log = (message: string): void => logTo(bundle, 'warning', message);
	const reaper = lifetime.use(new Reaper());
	const publisher = lifetime.use(new EventPublisher(ttrpcAddress, namespace, log));
	const watcher = lifetime.use(new DescriptorWatcher());
	const depot = lifetime.use(new DepotLink(depotAt, socketPath, watcher));
	const place = {
		namespace, runtimeRoot, stdio, reaper, watcher, depot, log, runtimes: runtimes(reaper),
		io: new IoOpener({reaper, watcher, socketDirectory, bufferBytes: stdioBufferBytes}),
		publish: publisher.publish.bind(publisher),
	};
	const shim = new Shim(place);
	await adoptAll(shim, heirs, place);
	const sandboxes = new ShimSandboxes(shim);
	sandboxHeirs.forEach(({id, bundle: at}) => sandboxes.adopt(id, at));
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
	listening(depot);
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

async function adoptAll(shim: Shim, heirs: readonly Heir[], place: ShimPlace): Promise<void> {
	if (heirs.length === 0) {
		return;
	}
	await endOfRuntimeCalls(heirs.map(({bundle}) => bundle));
	const waiting = [...heirs];
	await Promise.all(Array.from({length: adoptsAtOnce}, async () => {
		for (let heir = waiting.shift(); heir !== undefined; heir = waiting.shift()) {
			try {
				const container = await adoptContainer(heir, place);
				if (container !== undefined) {
					shim.adopt(container);
				}
			} catch (error) {
				place.log(`container ${heir.id} could not be taken up: ${String(error)}`);
			}
		}
	}));
}
