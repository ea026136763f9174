import {once} from 'node:events';
import {constants, createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream} from 'node:http2';
import type {Socket} from 'node:net';
import {setTimeout as delay} from 'node:timers/promises';
import type {GrpcService} from '../../contracts/grpc/grpc.ts';
import {statusCodes} from '../../api/convert/status-code.ts';
import {routesOf, type Route, type RouteParts} from './handlers.ts';
import {ServerCall, type Limits} from './server-call.ts';

// Uploads are read faster with a large window; downloads do not care.
const WINDOW_BYTES = 4 * 1024 * 1024;
/** What one client may have outstanding, in megabytes; beyond it new calls of that client are refused. */
const SESSION_MEGABYTES = 512;
const FLUSH_MS = 300;
/**
 * Node ends a connection when its client has let go of a thousand streams, and of more than 33 a second after that, or has sent a thousand frames for streams that
 * are closed. That is against strangers. Our clients let go of an answer as soon as they have what they wanted of it (`ctr content get` does so for each 32 KiB),
 * and keep their connection as long as they live.
 */
const UNBOUNDED = 0xffff_ffff;

export interface GrpcListenerOptions extends Limits, RouteParts {
	readonly services: Iterable<GrpcService>;
}

/** Speaks gRPC on connections that somebody else accepts. Disposing ends them. Throws ALREADY_EXISTS when two services have the same method. */
export class GrpcListener implements AsyncDisposable {
	readonly #server: Http2Server;
	readonly #routes: ReadonlyMap<string, Route>;
	readonly #limits: Limits;
	readonly #sessions = new Set<ServerHttp2Session>();
	readonly #sockets = new Set<Socket>();

	constructor({services, receiveMax, sendMax, ...parts}: GrpcListenerOptions) {
		this.#routes = routesOf(services, parts);
		this.#limits = {receiveMax, sendMax};
		this.#server = createServer({
			settings: {initialWindowSize: WINDOW_BYTES}, maxSessionMemory: SESSION_MEGABYTES,
			streamResetBurst: UNBOUNDED, streamResetRate: UNBOUNDED, maxSessionInvalidFrames: UNBOUNDED, maxSessionRejectedStreams: UNBOUNDED,
		});
		this.#server.on('session', session => this.#opened(session));
		this.#server.on('stream', (stream, headers, _flags, rawHeaders: readonly string[]) => this.#call(stream, headers, rawHeaders));
		// A session that breaks ends its own calls, and nothing else.
		this.#server.on('sessionError', () => {});
	}

	/** Takes a connection, encrypted or not; whoever reaches the socket is trusted. */
	accept(socket: Socket): void {
		this.#sockets.add(socket);
		socket.once('close', () => this.#sockets.delete(socket));
		// A connection that breaks ends its own calls, and nothing else.
		socket.on('error', () => {});
		// Nobody speaks HTTP/2 one way, and node leaves a socket open that may be open one way.
		socket.once('end', () => socket.end());
		this.#server.emit('connection', socket);
	}

	/** What is answered already still reaches its client, if that reads. */
	async [Symbol.asyncDispose](): Promise<void> {
		const closed = [...this.#sockets].map(socket => once(socket, 'close'));
		for (const session of this.#sessions) {
			session.close();
		}
		const timer = new AbortController();
		await Promise.race([Promise.allSettled(closed), delay(FLUSH_MS, undefined, {signal: timer.signal}).catch(() => {})]);
		timer.abort();
		for (const session of this.#sessions) {
			session.destroy();
		}
		for (const socket of this.#sockets) {
			socket.destroy();
		}
	}

	#opened(session: ServerHttp2Session): void {
		this.#sessions.add(session);
		session.on('close', () => this.#sessions.delete(session));
		session.on('error', () => {});
		session.setLocalWindowSize(WINDOW_BYTES);
	}

	#call(stream: ServerHttp2Stream, headers: Readonly<Record<string, unknown>>, rawHeaders: readonly string[]): void {
		const path = String(headers[constants.HTTP2_HEADER_PATH]);
		const type = headers[constants.HTTP2_HEADER_CONTENT_TYPE];
		if (typeof type !== 'string' || !type.startsWith('application/grpc')) {
			stream.on('error', () => {});
			stream.respond({':status': constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE}, {endStream: true});
			return;
		}
		const call = new ServerCall(stream, rawHeaders, this.#limits);
		const route = this.#routes.get(path);
		if (route === undefined) {
			const [, service, method] = path.split('/');
			const isKnown = [...this.#routes.keys()].some(known => known.startsWith(`/${service}/`));
			call.end({code: statusCodes.UNIMPLEMENTED, details: isKnown ? `unknown method ${method} for service ${service}` : `unknown service ${service}`});
			return;
		}
		route(call);
	}
}
