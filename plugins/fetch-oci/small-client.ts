import {connect as connectTls, type TLSSocket} from 'node:tls';
import {established} from './established.ts';
import {Http1Client} from './http1-client.ts';
import {Http2Client} from './http2-client.ts';
import {StaleConnectionError, type SmallRequest, type SmallResponse} from './small-message.ts';
import {addressOf, isProtocolRefused, keyOf, tlsOptionsOf, wayTo, type Way} from './way.ts';

const ORIGINS_MAX = 256;
/** How long a connection is kept that nobody uses: a machine that pulls one image often pulls another. */
const IDLE_MS = 30_000;

/**
 * Small messages with no proxy between, by what every daemon has loaded: HTTP/2 where a server offers it in TLS (ALPN, RFC 7301), HTTP/1.1 otherwise. Importing
 * undici takes 70 ms of processor time before the first byte of the first pull, and memory that stays.
 */
export class SmallClient implements Disposable {
	readonly #http1: Http1Client;
	readonly #http2: Http2Client;
	/** Origins that have chosen HTTP/1.1. */
	readonly #onlyHttp1 = new Set<string>();

	/** @param idleMs how long connections are kept that nobody uses */
	constructor(idleMs = IDLE_MS) {
		this.#http1 = new Http1Client(idleMs);
		this.#http2 = new Http2Client(idleMs);
	}

	/** Resolves with the head. Rejects with the network's own error, or the signal's reason. */
	async send(message: SmallRequest): Promise<SmallResponse> {
		try {
			return await this.#once(message);
		} catch (error) {
			// A connection that was kept may be closed while the request is on its way; then nothing was answered, and it can be asked again (RFC 9110, section 9.2.2).
			if (!(error instanceof StaleConnectionError) || !['GET', 'HEAD'].includes(message.method)) {
				throw error;
			}
			return await this.#once(message);
		}
	}

	[Symbol.dispose](): void {
		this.#http1[Symbol.dispose]();
		this.#http2[Symbol.dispose]();
	}

	async #once(message: SmallRequest): Promise<SmallResponse> {
		message.signal?.throwIfAborted();
		const way = wayTo(message.url, message.trust, message.headers);
		if (message.url.protocol !== 'https:') {
			return this.#http1.send(message, way);
		}
		const key = keyOf(way);
		const session = this.#http2.session(key);
		if (session !== undefined) {
			return this.#http2.send(session, message);
		}
		if (this.#onlyHttp1.has(key)) {
			try {
				return await this.#http1.send(message, way);
			} catch (error) {
				// It has changed its mind; whoever asks again finds out.
				if (isProtocolRefused(error)) {
					this.#onlyHttp1.delete(key);
				}
				throw error;
			}
		}
		const socket = await open(way, message.signal);
		if (socket.alpnProtocol === 'h2') {
			return this.#http2.send(this.#http2.adopt(key, message.url, socket), message);
		}
		if (this.#onlyHttp1.size >= ORIGINS_MAX) {
			this.#onlyHttp1.clear();
		}
		this.#onlyHttp1.add(key);
		try {
			return await this.#http1.send(message, way, socket);
		} catch (error) {
			// Nobody may have taken it.
			socket.destroy();
			throw error;
		}
	}
}

async function open(way: Way, signal: AbortSignal | undefined): Promise<TLSSocket> {
	const socket = connectTls({...addressOf(way), ...tlsOptionsOf(way), ALPNProtocols: ['h2', 'http/1.1']});
	// Whoever has it hears that it closes.
	socket.on('error', () => undefined);
	await established(socket, way, signal);
	return socket;
}
