import {request as httpRequest, type ClientRequest, type IncomingMessage} from 'node:http';
import {Duplex} from 'node:stream';

export interface AnswerParserEvents {
	/** Bytes of the request. */
	readonly write: (bytes: Uint8Array, done: (error?: Error | null) => void) => void;
	/** What was fed is consumed, after `feed` gave false. */
	readonly onRoom: () => void;
	/** It is no answer. Told once, perhaps within `feed`. */
	readonly onError: (error: Error) => void;
}

/** All heads of an answer together: some 1xx may come before the one that counts. */
export const HEAD_BYTES_MAX = 64 * 1024;

/** Node's own client of HTTP/1.1, which gets its bytes from us: it writes a request, and reads the head of the answer, and the body where we do not. */
export class AnswerParser {
	/** Once its head is fed. */
	response: IncomingMessage | undefined;
	/** How many heads of another answer to come (1xx) were fed. */
	informationCount = 0;
	readonly #front: Duplex;
	readonly #request: ClientRequest;
	#isClosed = false;

	constructor(url: URL, headers: Readonly<Record<string, string>>, {write, onRoom, onError}: AnswerParserEvents) {
		const front = new Duplex({
			read: onRoom,
			write: (chunk: Buffer, _encoding, done) => write(chunk, done),
		});
		this.#front = front;
		const fail = (error: Error): void => {
			if (!this.#isClosed) {
				this.#isClosed = true;
				onError(error);
			}
		};
		front.on('error', fail);
		this.#request = httpRequest({
			createConnection: () => front,
			method: 'GET', path: `${url.pathname}${url.search}`, setHost: false, maxHeaderSize: HEAD_BYTES_MAX,
			headers: {host: url.host, connection: 'keep-alive', ...headers},
		});
		this.#request.on('error', fail);
		this.#request.on('upgrade', () => fail(new Error('the answer changes the protocol, which nobody has asked for')));
		this.#request.on('information', () => {
			this.informationCount++;
		});
		this.#request.on('response', response => {
			this.response = response;
			// Whoever reads it hears of it too.
			response.on('error', () => undefined);
		});
		this.#request.end();
	}

	/** False: no more until there is room. The parser has had a head when this returns. */
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
}
