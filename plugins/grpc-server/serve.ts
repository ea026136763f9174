import type {GrpcService} from '../../contracts/grpc/grpc.ts';
import type {Server} from '../../contracts/grpc/server.ts';
import type {Logger} from '../../kernel/log.ts';
import {listenUnix} from '../../lib/listen/unix-socket.ts';
import {TtrpcServer} from '../../lib/ttrpc/server.ts';
import type {CallCounts} from './call-counts.ts';
import {GrpcListener} from './grpc-listener.ts';
import {OpenCalls} from './open-calls.ts';
import type {Limits} from './server-call.ts';
import type {Settings} from './settings.ts';
import {listenTcp} from './tcp-socket.ts';
import {ttrpcServiceOf} from './ttrpc-service.ts';

/** How long calls that have an end may take to it once the daemon stops. */
const GRACE_MS = 1500;
/** Of a shim that floods its daemon with events; one with its containers full of life sends a tenth of it. */
const SHIM_FRAMES_PER_SECOND = 2000;

export interface ServeOptions {
	readonly settings: Settings;
	readonly services: readonly GrpcService[];
	readonly log: Logger;
	/** Counts calls, whichever way they come. */
	readonly counts?: CallCounts | undefined;
	/** Aborts when the daemon stops: streams and waits are cut at once. */
	readonly signal: AbortSignal;
}

/**
 * Serves until disposed: then no connection is taken any more, what lasts is cut with UNAVAILABLE, other calls have a short grace, and the sockets
 * are removed. Rejects with FAILED_PRECONDITION where another daemon listens.
 */
export async function serve({settings, services, log, counts, signal}: ServeOptions): Promise<Server & AsyncDisposable> {
	await using half = new AsyncDisposableStack();
	const calls = new OpenCalls();
	const cut = (): void => calls.cut();
	signal.addEventListener('abort', cut, {once: true});
	half.defer(() => signal.removeEventListener('abort', cut));
	const listener = (limits: Limits): GrpcListener => half.use(new GrpcListener({services, calls, log, counts, ...limits}));
	const grpc = listener(settings.grpc);
	half.defer(() => calls.drain(GRACE_MS));
	const addresses = [settings.grpc.address];
	half.use(await listenUnix(settings.grpc.address, settings.grpc, socket => grpc.accept(socket)));
	const ttrpc = half.use(new TtrpcServer({framesPerSecond: SHIM_FRAMES_PER_SECOND, services: services.filter(each => each.ttrpc === true).map(each => ttrpcServiceOf(each, log))}));
	addresses.push(settings.ttrpc.address);
	half.use(await listenUnix(settings.ttrpc.address, settings.ttrpc, socket => void ttrpc.serve(socket)));
	if (settings.tcp !== undefined) {
		const remote = listener(settings.tcp);
		const tcp = half.use(await listenTcp(settings.tcp, socket => remote.accept(socket)));
		addresses.push(`tcp://${tcp.address}`);
	}
	const whole = half.move();
	return {addresses, [Symbol.asyncDispose]: () => whole.disposeAsync()};
}
