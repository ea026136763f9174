import {Agent, request as startRequest, type ClientRequest, type IncomingMessage} from 'node:http';
import {Agent as TlsAgent, request as startTlsRequest, type RequestOptions} from 'node:https';
import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {ConnectionOptions, TLSSocket} from 'node:tls';
import {CONNECT_TIMEOUT_MS, HEADER_BYTES_MAX} from './agents.ts';
import type {Body} from './http-client.ts';
import {dumpBytes} from './read-body.ts';
import {StaleConnectionError, type SmallRequest, type SmallResponse} from './small-message.ts';
import {tlsOptionsOf, type Way} from './way.ts';

const IDLE_MAX = 16;

/** Small messages over HTTP/1.1, plain or in TLS, on connections that are kept. */
export class Http1Client implements Disposable {
	readonly #plain: Agent;
	readonly #secure: AdoptingAgent;
	readonly #idleMs: number;

	/** @param idleMs how long a connection is kept that nobody uses */
	constructor(idleMs: number) {
		const pooled = {keepAlive: true, maxFreeSockets: IDLE_MAX, timeout: idleMs};
		this.#plain = new Agent(pooled);
		this.#secure = new AdoptingAgent(pooled);
		this.#idleMs = idleMs;
	}

	/**
	 * Resolves with the head. Rejects with the network's own error, StaleConnectionError when a kept connection ended before it answered, or the signal's reason.
	 *
	 * @param opened that this is sent on, where there is one already
	 */
	async send({method, url, headers, body, headersTimeoutMs, stallTimeoutMs, signal}: SmallRequest, way: Way, opened?: TLSSocket): Promise<SmallResponse> {
		const options = {method, headers, maxHeaderSize: HEADER_BYTES_MAX, ...(signal === undefined ? {} : {signal})};
		const secure: Adopting = {...options, ...tlsOptionsOf(way), agent: this.#secure, ALPNProtocols: ['http/1.1'], opened};
		const request = url.protocol === 'https:' ? startTlsRequest(url, secure) : startRequest(url, {...options, agent: this.#plain});
		using _ = bound(request, {connectTimeoutMs: way.trust.dialTimeoutMs ?? CONNECT_TIMEOUT_MS, headersTimeoutMs});
		const response = await answerTo(request, body);
		breakWhenStalled(response, stallTimeoutMs, this.#idleMs);
		return {statusCode: response.statusCode ?? 0, headers: response.headers, body: new MessageBody(response)};
	}

	[Symbol.dispose](): void {
		this.#plain.destroy();
		this.#secure.destroy();
	}
}

type Adopting = RequestOptions & Pick<ConnectionOptions, 'ALPNProtocols'> & {readonly opened: TLSSocket | undefined};

/** Takes a connection that was opened for a request, and keeps it afterwards like its own. */
class AdoptingAgent extends TlsAgent {
	override createConnection(options: Adopting, callback?: (error: Error | null, socket: Duplex) => void): Duplex | null | undefined {
		return options.opened ?? super.createConnection(options, callback);
	}
}

async function answerTo(request: ClientRequest, body: SmallRequest['body']): Promise<IncomingMessage> {
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

/** A connection (happy eyeballs, TLS and all) that does not stand in time is given up, and one that brings no head in time after that, until this is disposed of. */
function bound(request: ClientRequest, {connectTimeoutMs, headersTimeoutMs}: {readonly connectTimeoutMs: number; readonly headersTimeoutMs: number}): Disposable {
	let timer: NodeJS.Timeout | undefined;
	let isOver = false;
	const within = (milliseconds: number, message: string): void => {
		clearTimeout(timer);
		if (isOver) {
			return;
		}
		timer = setTimeout(() => request.destroy(new Error(`${message} within ${milliseconds} ms`)), milliseconds);
	};
	const stands = (): void => within(headersTimeoutMs, `headers timeout: no answer from ${request.host}`);
	within(connectTimeoutMs, `connect timeout: no connection to ${request.host}`);
	request.once('socket', (socket: Socket) => {
		if (socket.connecting) {
			socket.once('encrypted' in socket ? 'secureConnect' : 'connect', stands);
		} else {
			stands();
		}
	});
	return {
		[Symbol.dispose]: () => {
			isOver = true;
			clearTimeout(timer);
		},
	};
}

/** The connection may serve others afterwards, which have a time of their own. */
function breakWhenStalled(response: IncomingMessage, timeoutMs: number, idleMs: number): void {
	const {socket} = response;
	const stalled = (): void => void response.destroy(new Error(`body timeout: nothing came for ${timeoutMs} ms`));
	socket.setTimeout(timeoutMs);
	socket.once('timeout', stalled);
	response.once('close', () => {
		socket.off('timeout', stalled);
		socket.setTimeout(idleMs);
	});
}

class MessageBody implements Body {
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
