import {Agent, request as startRequest, type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders} from 'node:http';
import {CONNECT_TIMEOUT_MS, HEADER_BYTES_MAX} from './agents.ts';
import type {Body} from './http-client.ts';
import {dumpBytes} from './read-body.ts';

/** A message with nothing to send, or so little that it goes at once. */
export interface PlainRequest {
	readonly method: string;
	readonly url: URL;
	readonly headers: OutgoingHttpHeaders;
	readonly body: Uint8Array | string | undefined;
	readonly connectTimeoutMs: number | undefined;
	readonly headersTimeoutMs: number;
	/** Milliseconds without a byte after which the body counts as broken. */
	readonly stallTimeoutMs: number;
	readonly signal: AbortSignal | undefined;
}

export interface PlainResponse {
	readonly statusCode: number;
	readonly headers: IncomingMessage['headers'];
	readonly body: Body;
}

const IDLE_MAX = 16;

/**
 * Small messages over plain HTTP/1.1 with no proxy between, by what every daemon has loaded: importing undici, and compiling its parser, takes a third of a second of
 * processor time before the first byte of the first pull.
 */
export class PlainClient implements Disposable {
	readonly #agent = new Agent({keepAlive: true, maxFreeSockets: IDLE_MAX});

	/** Resolves with the head. Rejects with the network's own error, or the signal's reason. The caller reads, dumps or destroys the body. */
	async send(message: PlainRequest): Promise<PlainResponse> {
		try {
			return await this.#once(message);
		} catch (error) {
			// A connection that was kept may be closed while the request is on its way; then nothing was answered, and it can be asked again (RFC 9112, section 9.3.1).
			if (!(error instanceof StaleConnectionError) || !['GET', 'HEAD'].includes(message.method)) {
				throw error;
			}
			return await this.#once(message);
		}
	}

	[Symbol.dispose](): void {
		this.#agent.destroy();
	}

	async #once({method, url, headers, body, connectTimeoutMs = CONNECT_TIMEOUT_MS, headersTimeoutMs, stallTimeoutMs, signal}: PlainRequest): Promise<PlainResponse> {
		signal?.throwIfAborted();
		const request = startRequest(url, {method, headers, agent: this.#agent, maxHeaderSize: HEADER_BYTES_MAX, ...(signal === undefined ? {} : {signal})});
		using _ = boundConnecting(request, connectTimeoutMs);
		const timer = setTimeout(() => request.destroy(new Error(`headers timeout: no answer from ${url.host} within ${headersTimeoutMs} ms`)), connectTimeoutMs + headersTimeoutMs);
		try {
			const response = await answerTo(request, body);
			breakWhenStalled(response, stallTimeoutMs);
			return {statusCode: response.statusCode ?? 0, headers: response.headers, body: new PlainBody(response)};
		} finally {
			clearTimeout(timer);
		}
	}
}

class StaleConnectionError extends Error {}

async function answerTo(request: ClientRequest, body: PlainRequest['body']): Promise<IncomingMessage> {
	const {promise, resolve, reject} = Promise.withResolvers<IncomingMessage>();
	request.on('response', resolve);
	request.on('error', error => reject(request.reusedSocket && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE') ? new StaleConnectionError(error.message, {cause: error}) : error));
	request.on('upgrade', (_response, socket) => {
		socket.destroy();
		reject(new Error('the answer changes the protocol, which nobody has asked for'));
	});
	request.end(body);
	return await promise;
}

/** Happy eyeballs and all: what does not stand by then is given up. */
function boundConnecting(request: ClientRequest, timeoutMs: number): Disposable {
	let timer: NodeJS.Timeout | undefined;
	request.once('socket', socket => {
		if (socket.connecting) {
			timer = setTimeout(() => request.destroy(new Error(`connect timeout: no connection within ${timeoutMs} ms`)), timeoutMs);
			socket.once('connect', () => clearTimeout(timer));
		}
	});
	return {[Symbol.dispose]: () => clearTimeout(timer)};
}

/** The connection may serve others afterwards, which have a time of their own. */
function breakWhenStalled(response: IncomingMessage, timeoutMs: number): void {
	const {socket} = response;
	const stalled = (): void => void response.destroy(new Error(`body timeout: nothing came for ${timeoutMs} ms`));
	socket.setTimeout(timeoutMs);
	socket.once('timeout', stalled);
	response.once('close', () => {
		socket.off('timeout', stalled);
		socket.setTimeout(0);
	});
}

class PlainBody implements Body {
	readonly #response: IncomingMessage;

	constructor(response: IncomingMessage) {
		this.#response = response;
		// Whoever reads it hears of it too.
		response.on('error', () => undefined);
	}

	destroy(): void {
		this.#response.destroy();
	}

	async dump(options: {readonly limit: number}): Promise<void> {
		await dumpBytes(this, options);
	}

	async* [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
		try {
			yield* this.#response as AsyncIterable<Uint8Array>;
		} catch (error) {
			// Node says no more than "aborted" of a connection that the other side closed.
			throw error instanceof Error && 'code' in error && error.code === 'ECONNRESET' ? new Error('unexpected EOF: the connection was closed before the answer was whole', {cause: error}) : error;
		}
	}
}
