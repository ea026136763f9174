import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {constants, createGzip} from 'node:zlib';
import {isKeelsonError} from '../../kernel/errors.ts';
import {parseTcpAddress} from './tcp-address.ts';
import {listenUnix, type SocketOwner} from './unix-socket.ts';

/** Beyond it a connection is closed at once. */
const CONNECTIONS_MAX = 64;
const HEADERS_MS = 10_000;
const IDLE_MS = 75_000;

export interface HttpAnswer {
	/** Default 200. */
	readonly status?: number;
	/** Of the body, as `content-type` has it. */
	readonly type: string;
	/** Text, chunks that are made no faster than they are read (both compressed for who takes that), or a stream, which is destroyed when it is not read to its end. */
	readonly body: string | Iterable<string> | Readable;
	readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpRequest {
	readonly query: URLSearchParams;
	/** Aborts when whoever asks has gone away, or the server closes. */
	readonly signal: AbortSignal;
}

export type HttpRoute = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;

export interface HttpListenerOptions {
	/** An absolute path, of a socket that is made 0600 and given to `owner`; or `host:port`. */
	readonly address: string;
	readonly owner: SocketOwner;
	/** By path. Each answers GET. */
	readonly routes: Readonly<Record<string, HttpRoute>>;
	/** Told of what a route throws that is no KeelsonError; whoever asks is told of any. */
	readonly failed: (error: unknown) => void;
}

export interface HttpListener extends AsyncDisposable {
	/** As bound: a path, or `tcp://host:port` whose port is never 0. */
	readonly address: string;
}

/** Answers by HTTP until disposed, which ends all connections. Rejects as `listenUnix` does, INVALID_ARGUMENT for an address that makes no sense, and with what listening rejects with. */
export async function listenHttp({address, owner, routes, failed}: HttpListenerOptions): Promise<HttpListener> {
	await using half = new AsyncDisposableStack();
	const closing = new AbortController();
	const server = createServer({headersTimeout: HEADERS_MS, requestTimeout: HEADERS_MS, keepAliveTimeout: IDLE_MS}, (request, response) => {
		void answer(request, response, {routes, failed, closing: closing.signal});
	});
	const sockets = new Set<Socket>();
	server.on('connection', (socket: Socket) => {
		if (sockets.size >= CONNECTIONS_MAX) {
			socket.destroy();
			return;
		}
		sockets.add(socket);
		socket.once('close', () => sockets.delete(socket));
	});
	half.defer(() => {
		closing.abort();
		for (const socket of sockets) {
			socket.destroy();
		}
	});
	const path = address.replace(/^unix:(?:\/\/)?/, '');
	const bound = path.startsWith('/') ? path : await bindTcp(server, address, half);
	if (path.startsWith('/')) {
		half.use(await listenUnix(path, owner, socket => server.emit('connection', socket)));
	}
	const whole = half.move();
	return {address: bound, [Symbol.asyncDispose]: () => whole.disposeAsync()};
}

async function bindTcp(server: Server, address: string, half: AsyncDisposableStack): Promise<string> {
	server.listen(parseTcpAddress(address));
	await once(server, 'listening');
	half.defer(() => {
		server.close();
	});
	const {family, address: host, port} = server.address() as AddressInfo;
	return `tcp://${family === 'IPv6' ? `[${host}]` : host}:${port}`;
}

async function answer({method = '', url = '/', headers: {'accept-encoding': encodings = ''}}: IncomingMessage, response: ServerResponse, {routes, failed, closing}: Pick<HttpListenerOptions, 'routes' | 'failed'> & {readonly closing: AbortSignal}): Promise<void> {
	const gone = new AbortController();
	response.once('close', () => gone.abort());
	const signal = AbortSignal.any([gone.signal, closing]);
	const [pathname = '', search = ''] = url.split('?', 2);
	const query = new URLSearchParams(search);
	const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
	try {
		if (method !== 'GET') {
			return refuse(response, 405, `${method} is not served here`);
		}
		if (route === undefined) {
			return refuse(response, 404, `there is nothing at ${pathname}; there is ${Object.keys(routes).join(' ')}`);
		}
		const {status = 200, type, body, headers: more = {}} = await route({query, signal});
		const text = body instanceof Readable ? body : Readable.from(typeof body === 'string' ? [body] : body, {objectMode: false});
		const isZipped = text !== body && takesGzip(encodings);
		response.writeHead(status, {'content-type': type, vary: 'accept-encoding', ...(isZipped ? {'content-encoding': 'gzip'} : {}), ...more});
		await (isZipped ? pipeline(text, createGzip({level: constants.Z_BEST_SPEED}), response) : pipeline(text, response));
	} catch (error) {
		if (signal.aborted) {
			response.destroy();
			return;
		}
		if (!isKeelsonError(error)) {
			failed(error);
		}
		refuse(response, statusOf(error), error instanceof Error ? error.message : String(error));
	}
}

/** As `accept-encoding` says it (RFC 9110, 12.5.3): named, and not with a weight of nothing. */
function takesGzip(encodings: string): boolean {
	return encodings.split(',').map(one => one.trim().toLowerCase().split(/\s*;\s*q=/)).some(([name = '', weight = '1']) => name === 'gzip' && Number(weight) > 0);
}

function statusOf(error: unknown): number {
	if (isKeelsonError(error, 'INVALID_ARGUMENT')) {
		return 400;
	}
	return isKeelsonError(error, 'RESOURCE_EXHAUSTED') || isKeelsonError(error, 'UNAVAILABLE') ? 503 : 500;
}

function refuse(response: ServerResponse, status: number, why: string): void {
	if (response.headersSent) {
		response.destroy();
		return;
	}
	response.writeHead(status, {'content-type': 'text/plain; charset=utf-8'}).end(`${why}\n`);
}
