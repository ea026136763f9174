import {once} from 'node:events';
import type {Socket} from 'node:net';
import {setTimeout as delay} from 'node:timers/promises';
import {Server, ServerCredentials, type ConnectionInjector} from '@grpc/grpc-js';
import type {GrpcService} from '../../contracts/grpc/grpc.ts';
import type {Logger} from '../../kernel/log.ts';
import {register} from './handlers.ts';
import type {OpenCalls} from './open-calls.ts';

// Uploads are read faster with a large window; downloads do not care.
const WINDOW_BYTES = 4 * 1024 * 1024;
const FLUSH_MS = 300;

export interface GrpcListenerOptions {
	readonly services: Iterable<GrpcService>;
	readonly calls: OpenCalls;
	readonly log: Logger;
	/** Bytes of one message. */
	readonly receiveMax: number;
	readonly sendMax: number;
}

/** Speaks gRPC on connections that somebody else accepts. Disposing ends them. */
export class GrpcListener implements AsyncDisposable {
	readonly #server: Server;
	readonly #injector: ConnectionInjector;
	readonly #sockets = new Set<Socket>();

	constructor({services, calls, log, receiveMax, sendMax}: GrpcListenerOptions) {
		this.#server = new Server({
			'grpc.max_receive_message_length': receiveMax,
			'grpc.max_send_message_length': sendMax,
			'grpc-node.flow_control_window': WINDOW_BYTES,
			'grpc.enable_channelz': 0,
		});
		for (const service of services) {
			register(this.#server, service, calls, log);
		}
		this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
	}

	/** Takes a connection, encrypted or not; whoever reaches the socket is trusted. */
	accept(socket: Socket): void {
		this.#sockets.add(socket);
		socket.once('close', () => this.#sockets.delete(socket));
		// A connection that breaks ends its own calls, and nothing else.
		socket.on('error', () => {});
		this.#injector.injectConnection(socket);
	}

	/** What is answered already still reaches its client, if that reads. */
	async [Symbol.asyncDispose](): Promise<void> {
		const closed = [...this.#sockets].map(socket => once(socket, 'close'));
		// Its callback comes before the last bytes have gone: the sockets' own end is what counts.
		this.#server.tryShutdown(() => {});
		const timer = new AbortController();
		await Promise.race([Promise.allSettled(closed), delay(FLUSH_MS, undefined, {signal: timer.signal}).catch(() => {})]);
		timer.abort();
		this.#server.forceShutdown();
		for (const socket of this.#sockets) {
			socket.destroy();
		}
	}
}
