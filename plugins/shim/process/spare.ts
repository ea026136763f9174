import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {TtrpcServer} from '../../../lib/ttrpc/server.ts';
import {ttrpcService} from '../../../lib/ttrpc/typed-service.ts';
import {shimSocketPath} from '../protocol/shim-socket.ts';
import {depotPath, heldKey, SpareDefinition, spareSocketPath, spareVersion, type SpareAssigned} from '../protocol/spare-service.ts';
import type {DepotLink} from './depot-link.ts';
import {Depot} from './depot.ts';
import {serve, type ServeOptions} from './serve.ts';
import {groupOf} from './shim-group.ts';
import {ShimListener} from './shim-listener.ts';

/** With nobody connected for this long its daemon is gone, and it ends when it holds nothing for a shim. Whoever started it may take longer to connect at first. */
const abandonedMs = 1000;
const neverAskedMs = 10_000;
const lookMs = 250;
/** So long after the daemon went it is looked at once a look whether what is held is still wanted: this process would stay for it. */
const forgetMs = 2000;
/** For the last answer to be written. */
const drainMs = 1000;
/** Of the task protocol, as a shim's `start` answers a daemon of ours. */
const protocolVersion = 2;

export interface SpareOptions extends Pick<ServeOptions, 'arguments' | 'runtimes'> {
	/** Name and version. */
	readonly program: string;
	/** Called once the socket answers. */
	readonly listening: (socketPath: string) => void;
}

/**
 * The life of a spare: a shim's process with all that it needs already loaded, which has no namespace and no container. Once it is
 * assigned one it is that namespace's shim, and this resolves with the shim's life; it resolves too when the spare is sent away, or its
 * daemon is gone. Rejects with ALREADY_EXISTS when the daemon has a spare.
 */
export async function waitAsSpare({arguments: given, runtimes, program, listening}: SpareOptions): Promise<void> {
	const socketPath = spareSocketPath(given.address);
	/** Resolves with the life of the shim that this becomes. */
	const over = Promise.withResolvers<{readonly life?: Promise<void>}>();
	let isTaken = false;

	const watcher = new DescriptorWatcher();

	const become = async (shimPath: string, namespace: string, bundle: string, inherited: Pick<ServeOptions, 'heirs' | 'sandboxHeirs'>): Promise<SpareAssigned> => {
		if (isTaken) {
			throw new KeelsonError('FAILED_PRECONDITION', 'this spare shim is taken');
		}
		isTaken = true;
		const answer = {version: protocolVersion, address: `unix://${shimPath}`, passesOn: 0};
		const serving = Promise.withResolvers<DepotLink>();
		// What hooks and logging programs find in their environment.
		process.env['NAMESPACE'] = namespace;
		const life = serve({arguments: {...given, namespace, bundle}, socketPath: shimPath, bundle, runtimes, ...inherited, listening: serving.resolve});
		life.catch(serving.reject);
		try {
			const link = await serving.promise;
			// Before the answer: the daemon makes the next spare in this place.
			await listener[Symbol.asyncDispose]();
			const passesOn = depot.size;
			link.passOn(depot.takeAll());
			await depot[Symbol.asyncDispose]();
			over.resolve({life});
			return {...answer, passesOn};
		} catch (error) {
			isTaken = false;
			// The group's shim is there already.
			if (!isKeelsonError(error, 'ALREADY_EXISTS')) {
				throw error;
			}
		}
		return answer;
	};

	const server = new TtrpcServer({services: [ttrpcService(SpareDefinition, {
		hello: () => ({version: spareVersion, program, pid: process.pid}),
		assign: async ({namespace, id, bundle}) => become(shimSocketPath(given.address, namespace, groupOf(bundle) ?? id), namespace, bundle, {}),
		inherit: async ({namespace, socketPath: shimPath, containers, sandboxes = [], patienceMs}) => {
			await depot.await(shimPath, containers.map(({id}) => heldKey(id, '')), patienceMs);
			const held = depot.take(shimPath);
			try {
				const bundle = [...sandboxes, ...containers][0]?.bundle ?? '/';
				return await become(shimPath, namespace, bundle, {heirs: containers.map(one => ({...one, held})), sandboxHeirs: sandboxes});
			} finally {
				held.forEach(one => one[Symbol.dispose]());
			}
		},
		leave: () => {
			if (!isTaken && depot.size === 0) {
				over.resolve({});
			}
			return {};
		},
	})]});
	const listener: ShimListener = await ShimListener.open(socketPath, server);
	const depot = Depot.open(depotPath(given.address), watcher);
	listening(socketPath);
	let attendedAt = performance.now();
	let idleSince = performance.now();
	let limitMs = neverAskedMs;
	const look = setInterval(() => {
		if (listener.connections > 0) {
			attendedAt = performance.now();
		} else if (performance.now() - attendedAt < forgetMs) {
			void depot.dropForgotten();
		}
		if (isTaken || listener.connections > 0 || depot.size > 0) {
			idleSince = performance.now();
			limitMs = abandonedMs;
		} else if (performance.now() - idleSince > limitMs) {
			over.resolve({});
		}
	}, lookMs);
	const {life} = await over.promise.finally(() => clearInterval(look));
	await listener[Symbol.asyncDispose]();
	await server.close(AbortSignal.timeout(drainMs));
	await depot[Symbol.asyncDispose]();
	await watcher[Symbol.asyncDispose]();
	await life;
}
