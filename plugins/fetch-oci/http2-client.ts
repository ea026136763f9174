import {connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type IncomingHttpStatusHeader, type OutgoingHttpHeaders} from 'node:http2';
import type {TLSSocket} from 'node:tls';
import {HEADER_BYTES_MAX} from './agents.ts';
import type {Body} from './http-client.ts';
import {dumpBytes} from './read-body.ts';
import {StaleConnectionError, type SmallRequest, type SmallResponse} from './small-message.ts';

/** What a server may send ahead of one answer: a small one comes in one round trip. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 4 * 1024 * 1024;

/** Of a connection of HTTP/1.1, which somebody may have configured; a message of HTTP/2 with one is malformed (RFC 9113, section 8.2.2). */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set(['connection', 'http2-settings', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']);

/** Small messages over HTTP/2 (RFC 9113): one session for all that share a way. */
export class Http2Client implements Disposable {
	readonly #sessions = new Map<string, ClientHttp2Session>();
	readonly #idleMs: number;

	/** @param idleMs how long a session is kept that nobody uses */
	constructor(idleMs: number) {
		this.#idleMs = idleMs;
	}

	/** One that takes more requests. */
	session(key: string): ClientHttp2Session | undefined {
		const session = this.#sessions.get(key);
		return session?.closed === true || session?.destroyed === true ? undefined : session;
	}

	/** Speaks HTTP/2 over a connection that has agreed to it, unless there is a session by now: then the connection is closed. */
	adopt(key: string, {origin}: URL, socket: TLSSocket): ClientHttp2Session {
		const known = this.session(key);
		if (known !== undefined) {
			socket.destroy();
			return known;
		}
		const settings = {enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES, maxHeaderListSize: HEADER_BYTES_MAX};
		const session = connect(origin, {createConnection: () => socket, settings});
		this.#sessions.set(key, session);
		session.once('connect', () => session.setLocalWindowSize(SESSION_WINDOW_BYTES));
		// Its requests are told, and they alone have somebody who listens.
		session.on('error', () => undefined);
		session.once('close', () => {
			if (this.#sessions.get(key) === session) {
				this.#sessions.delete(key);
			}
		});
		session.setTimeout(this.#idleMs, () => session.close());
		return session;
	}

	/** Resolves with the head. Rejects with the network's own error, StaleConnectionError when the session ended before it answered, or the signal's reason. */
	async send(session: ClientHttp2Session, message: SmallRequest): Promise<SmallResponse> {
		const {url, body, headersTimeoutMs, stallTimeoutMs, signal} = message;
		signal?.throwIfAborted();
		const stream = request(session, message);
		const answered = Promise.withResolvers<IncomingHttpHeaders & IncomingHttpStatusHeader>();
		stream.once('response', answered.resolve);
		stream.on('error', error => answered.reject(isRefused(stream, session) ? new StaleConnectionError(error.message, {cause: error}) : error));
		stream.once('close', () => answered.reject(new StaleConnectionError(`${url.host} closed the connection before it answered`)));
		const timer = setTimeout(() => {
			// Nothing says that anything would come on it.
			session.close();
			stream.destroy(new Error(`headers timeout: no answer from ${url.host} within ${headersTimeoutMs} ms`));
		}, headersTimeoutMs);
		const abort = (): void => void stream.destroy(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
		signal?.addEventListener('abort', abort, {once: true});
		stream.once('close', () => signal?.removeEventListener('abort', abort));
		stream.end(body);
		try {
			const {':status': status = 0, ...headers} = await answered.promise;
			stream.setTimeout(stallTimeoutMs, () => void stream.destroy(new Error(`body timeout: nothing came for ${stallTimeoutMs} ms`)));
			return {statusCode: status, headers, body: new StreamBody(stream)};
		} finally {
			clearTimeout(timer);
		}
	}

	[Symbol.dispose](): void {
		for (const session of this.#sessions.values()) {
			session.destroy();
		}
		this.#sessions.clear();
	}
}

/** Throws StaleConnectionError where the session takes none. */
function request(session: ClientHttp2Session, {method, url, headers, body}: SmallRequest): ClientHttp2Stream {
	const own: OutgoingHttpHeaders = {':method': method, ':scheme': 'https', ':authority': url.host, ':path': `${url.pathname}${url.search}`};
	for (const [given, value] of Object.entries(headers)) {
		const name = given.toLowerCase();
		if (name === 'host') {
			own[':authority'] = value;
		} else if (!CONNECTION_HEADERS.has(name)) {
			own[name] = value;
		}
	}
	try {
		return session.request(own, {endStream: body === undefined});
	} catch (error) {
		throw session.closed || session.destroyed ? new StaleConnectionError(`the connection to ${url.host} is closed`, {cause: error}) : error;
	}
}

/** Not looked at by the server (RFC 9113, section 8.7), or lost with its session. */
function isRefused({rstCode}: ClientHttp2Stream, session: ClientHttp2Session): boolean {
	return rstCode === constants.NGHTTP2_REFUSED_STREAM || session.destroyed;
}

class StreamBody implements Body {
	readonly #stream: ClientHttp2Stream;

	constructor(stream: ClientHttp2Stream) {
		this.#stream = stream;
	}

	destroy(): void {
		this.#stream.close(constants.NGHTTP2_CANCEL);
	}

	async dump(options: {readonly limit: number}): Promise<void> {
		await dumpBytes(this, options);
	}

	async* [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
		let length = 0;
		for await (const chunk of this.#stream as AsyncIterable<Uint8Array>) {
			length += chunk.length;
			yield chunk;
		}
		// Node ends a stream that lost its session like one that is whole.
		if (this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
			throw new Error(`unexpected EOF: the stream was closed with code ${this.#stream.rstCode} after ${length} bytes`);
		}
	}
}
