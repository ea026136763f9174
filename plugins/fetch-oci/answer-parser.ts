import {request as httpRequest, type ClientRequest, type IncomingMessage} from 'node:http';
import {Duplex} from 'node:stream';
import {HEADER_BYTES_MAX} from './agents.ts';

export interface AnswerParserEvents {
	/** Bytes of the request. */
	readonly write: (bytes: Uint8Array, done: (error?: Error | null) => void) => void;
	/** What was fed is consumed, after `feed` gave false. */
	readonly onRoom: () => void;
	/** It is no answer, or the request could not be written. Told once, perhaps while bytes are fed. */
	readonly onError: (error: Error) => void;
}

/** A head, and what came behind it. */
export interface Head {
	readonly response: IncomingMessage;
	readonly rest: Uint8Array;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const CARRIAGE_RETURN = HEAD_END[0];

/**
 * Node's own client of HTTP/1.1, which gets its bytes from us: it writes a request, and reads the head of the answer, and the body where we do not. All heads of an
 * answer together (some 1xx may come before the one that counts) have no more than HEADER_BYTES_MAX.
 */
export class AnswerParser {
	readonly #front: Duplex;
	readonly #request: ClientRequest;
	readonly #onError: (error: Error) => void;
	#response: IncomingMessage | undefined;
	/** Heads that the parser has seen whole. */
	#headCount = 0;
	#headBytes = 0;
	/** Bytes of HEAD_END that came last. */
	#matched = 0;
	#isClosed = false;

	constructor(url: URL, headers: Readonly<Record<string, string>>, {write, onRoom, onError}: AnswerParserEvents) {
		const front = new Duplex({
			read: onRoom,
			write: (chunk: Buffer, _encoding, done) => write(chunk, done),
		});
		this.#front = front;
		this.#onError = onError;
		const fail = (error: Error): void => this.#fail(error);
		front.on('error', fail);
		this.#request = httpRequest({
			createConnection: () => front,
			method: 'GET', path: `${url.pathname}${url.search}`, setHost: false, maxHeaderSize: HEADER_BYTES_MAX,
			headers: {host: url.host, connection: 'keep-alive', ...headers},
		});
		this.#request.on('error', fail);
		this.#request.on('upgrade', () => fail(new Error('the answer changes the protocol, which nobody has asked for')));
		this.#request.on('information', () => {
			this.#headCount++;
		});
		this.#request.on('response', response => {
			this.#response = response;
			this.#headCount++;
			// Whoever reads it hears of it too.
			response.on('error', () => undefined);
		});
		this.#request.end();
	}

	/** Takes bytes until the head that counts is there. */
	feedHead(bytes: Uint8Array): Head | undefined {
		for (let from = 0; from < bytes.length && !this.#isClosed;) {
			const end = this.#endOfHead(bytes, from);
			const before = this.#headCount;
			this.#headBytes += (end ?? bytes.length) - from;
			if (this.#headBytes > HEADER_BYTES_MAX) {
				this.#fail(new Error(`the head of the answer has more than ${HEADER_BYTES_MAX} bytes`));
				return undefined;
			}
			// A copy: where they lie, others come. The parser has them before this returns.
			this.feed(Buffer.from(bytes.subarray(from, end)));
			// Where a head ends decides which bytes are the body: whoever sees another end than the parser does must not guess.
			if (this.#headCount - before !== (end === undefined ? 0 : 1) || (this.#response?.readableLength ?? 0) > 0) {
				this.#fail(new Error('the head of the answer does not end as HTTP/1.1 asks'));
				return undefined;
			}
			from = end ?? bytes.length;
			if (this.#response !== undefined) {
				return {response: this.#response, rest: bytes.subarray(from)};
			}
		}
		return undefined;
	}

	/** Of a body. False: no more until there is room. */
	feed(bytes: Buffer): boolean {
		return this.#front.push(bytes);
	}

	/** Nothing comes any more: with an error, or at an end which may be the body's. */
	end(error?: Error): void {
		if (error === undefined) {
			this.#front.push(null);
		} else {
			this.#front.destroy(error);
		}
	}

	/** It has no more to say. */
	close(): void {
		this.#isClosed = true;
		this.#request.destroy();
		this.#front.destroy();
	}

	#fail(error: Error): void {
		if (!this.#isClosed) {
			this.#isClosed = true;
			this.#onError(error);
		}
	}

	/** Where it ends, in these bytes and with those before. */
	#endOfHead(bytes: Uint8Array, from: number): number | undefined {
		for (let at = from; at < bytes.length; at++) {
			const byte = bytes[at];
			this.#matched = byte === HEAD_END[this.#matched] ? this.#matched + 1 : byte === CARRIAGE_RETURN ? 1 : 0;
			if (this.#matched === HEAD_END.length) {
				this.#matched = 0;
				return at + 1;
			}
		}
		return undefined;
	}
}
