import type {IncomingMessage} from 'node:http';
import {AnswerParser, HEAD_BYTES_MAX} from './answer-parser.ts';
import {Outlet} from './outlet.ts';
import type {PieceFiller} from './piece-filler.ts';
import type {RawConnection, Taker} from './raw-connection.ts';

export interface RawRequest {
	readonly url: URL;
	readonly headers: Readonly<Record<string, string>>;
	readonly headersTimeoutMs: number;
	/** Milliseconds without a byte after which the body counts as broken; what the reader takes is not counted. */
	readonly stallTimeoutMs: number;
}

/** Where an answer goes. */
export interface Sink {
	readonly head: (response: Pick<IncomingMessage, 'headers'> & {readonly statusCode: number}) => void;
	readonly filler: PieceFiller;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const CARRIAGE_RETURN = HEAD_END[0];
/** What a parser cuts into chunks is read into so much memory at a time. */
const PARSED_BYTES = 64 * 1024;
const PARSED_BYTES_MIN = 8 * 1024;

/**
 * One request, and its answer. The head goes through Node's parser, cut where it ends. A body whose length it tells goes straight from the connection into pieces:
 *
 *     HTTP/1.1 200 OK ... content-length: 9 \r\n\r\n | 123456789 | nothing more
 *     AnswerParser ──────────────────────────────────► PieceFiller
 *
 * Any other (in chunks, up to the connection's end, or told in two ways) goes through the parser too, and is copied.
 */
export class RawExchange implements Taker {
	/** The connection went before anything came. */
	isLost = false;
	readonly #connection: RawConnection;
	readonly #request: RawRequest;
	readonly #sink: Sink;
	readonly #parser: AnswerParser;
	/** Whether the connection can be used again. */
	readonly #over = Promise.withResolvers<boolean>();
	#state: 'head' | 'raw' | 'parsed' | 'over' = 'head';
	#headBytes = 0;
	/** Bytes of HEAD_END that came last. */
	#matched = 0;
	#hasBegun = false;
	#isReusable = false;
	/** Of a raw body. */
	#length = 0;
	#left = 0;
	/** The place that was told last, where it is not the connection's own. */
	#place: Uint8Array | undefined;
	/** For a parsed body: what is not filled yet. */
	#room = new Uint8Array();
	#isPaused = false;
	#gone: Error | undefined;
	#cameAt = 0;
	#timer: NodeJS.Timeout;

	/** What `over` tells: resolves once the body is in pieces, all of them sent. Rejects with what the network says, after what had come was sent. */
	constructor(connection: RawConnection, request: RawRequest, sink: Sink) {
		this.#connection = connection;
		this.#request = request;
		this.#sink = sink;
		this.#parser = new AnswerParser(request.url, request.headers, {
			write: (bytes, done) => connection.write(bytes, done),
			onRoom: () => this.#goOn(),
			onError: error => {
				// Nothing came: the request could not be sent.
				this.isLost = !this.#hasBegun;
				this.#fail(error);
			},
		});
		this.#timer = setTimeout(() => this.#fail(new Error(`headers timeout: no answer within ${request.headersTimeoutMs} ms`)), request.headersTimeoutMs);
		sink.filler.onRoom = () => this.#goOn();
		connection.use(this);
	}

	async over(signal: AbortSignal): Promise<boolean> {
		const abort = (): void => this.#fail(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
		signal.addEventListener('abort', abort, {once: true});
		try {
			if (signal.aborted) {
				abort();
			}
			return await this.#over.promise;
		} finally {
			signal.removeEventListener('abort', abort);
		}
	}

	place(): Uint8Array | undefined {
		if (this.#state === 'raw') {
			this.#place = this.#sink.filler.place(this.#left);
		} else if (this.#state === 'parsed') {
			if (this.#room.length < PARSED_BYTES_MIN) {
				// Not shared with others: the parser gives parts of it, which live on.
				this.#room = Buffer.allocUnsafeSlow(PARSED_BYTES);
			}
			this.#place = this.#room;
		} else {
			this.#place = undefined;
		}
		return this.#place;
	}

	took(count: number, bytes: Uint8Array): boolean {
		this.#hasBegun = true;
		this.#cameAt = performance.now();
		const isPlaced = bytes === this.#place;
		switch (this.#state) {
			case 'head': {
				this.#takeHead(bytes.subarray(0, count));
				break;
			}
			case 'raw': {
				if (isPlaced) {
					this.#sink.filler.filled(count);
					this.#left -= count;
				} else {
					this.#copy(bytes.subarray(0, count));
				}
				this.#endIfWhole();
				break;
			}
			case 'parsed': {
				this.#room = isPlaced ? this.#room.subarray(count) : this.#room;
				this.#parse(isPlaced ? Buffer.from(bytes.buffer, bytes.byteOffset, count) : Buffer.from(bytes.subarray(0, count)));
				break;
			}
			case 'over': {
				return false;
			}
		}
		if (this.#isRaw()) {
			this.#isPaused = this.#sink.filler.isBehind;
		}
		return !this.#isPaused;
	}

	ended(error: Error | undefined): void {
		const {host} = this.#request.url;
		switch (this.#state) {
			case 'parsed': {
				// It may be the end of the answer, of which the parser knows.
				this.#gone = error ?? new Error(`${host} closed the connection before its answer was whole`);
				this.#parser.end(error);
				break;
			}
			case 'raw': {
				this.#fail(error ?? new Error(`${host} closed the connection after ${this.#length - this.#left} of ${this.#length} bytes`));
				break;
			}
			case 'head':
			case 'over': {
				this.isLost = !this.#hasBegun;
				this.#fail(error ?? new Error(`${host} closed the connection ${this.#hasBegun ? 'within the head of its answer' : 'before it answered'}`));
				break;
			}
		}
	}

	#takeHead(bytes: Uint8Array): void {
		for (let from = 0; from < bytes.length && this.#state === 'head';) {
			const end = this.#endOfHead(bytes, from);
			this.#headBytes += (end ?? bytes.length) - from;
			if (this.#headBytes > HEAD_BYTES_MAX) {
				this.#fail(new Error(`the head of the answer has more than ${HEAD_BYTES_MAX} bytes`));
				return;
			}
			const before = this.#parser.informationCount;
			this.#parser.feed(Buffer.from(bytes.subarray(from, end)));
			const {response} = this.#parser;
			const isInformation = this.#parser.informationCount !== before;
			// Where a head ends decides which bytes are the body: whoever sees another end than the parser does must not guess.
			if (this.#isHead() && (response !== undefined || isInformation) !== (end !== undefined)) {
				this.#fail(new Error('the head of the answer does not end as HTTP/1.1 asks'));
				return;
			}
			from = end ?? bytes.length;
			if (this.#isHead() && response !== undefined) {
				this.#begin(response, bytes.subarray(from));
			}
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

	/** The head is there; with it came the first bytes of the body, perhaps. */
	#begin(response: IncomingMessage, rest: Uint8Array): void {
		const {statusCode = 0, headers, httpVersion} = response;
		this.#isReusable = httpVersion === '1.1' && !/(?:^|[\s,])close(?:$|[\s,])/i.test(headers.connection ?? '');
		clearTimeout(this.#timer);
		this.#watch(this.#request.stallTimeoutMs);
		const length = response.complete ? 0 : plainLength(response);
		this.#sink.head({statusCode, headers});
		if (length === undefined) {
			this.#state = 'parsed';
			this.#room = new Uint8Array();
			this.#pour(response);
			if (rest.length > 0) {
				this.#parse(Buffer.from(rest));
			}
			return;
		}
		this.#state = 'raw';
		this.#length = this.#left = length;
		this.#parser.close();
		this.#isReusable &&= rest.length <= length;
		this.#copy(rest.subarray(0, length));
		this.#endIfWhole();
	}

	#pour(response: IncomingMessage): void {
		const outlet = new Outlet(this.#sink.filler);
		response.on('error', error => this.#fail(this.#gone ?? error));
		outlet.on('finish', () => this.#end());
		response.pipe(outlet);
	}

	#parse(bytes: Buffer): void {
		this.#isPaused = !this.#parser.feed(bytes);
	}

	#copy(bytes: Uint8Array): void {
		for (let at = 0; at < bytes.length;) {
			const place = this.#sink.filler.place(bytes.length - at);
			place.set(bytes.subarray(at, at + place.length));
			this.#sink.filler.filled(place.length);
			at += place.length;
		}
		this.#left -= bytes.length;
	}

	#endIfWhole(): void {
		if (this.#left === 0) {
			this.#end();
		}
	}

	/** Breaks off a body of which nothing comes. One timer looks at a time that each byte moves. */
	#watch(waitMs: number): void {
		const {stallTimeoutMs} = this.#request;
		this.#cameAt = performance.now();
		const look = (): void => {
			const leftMs = this.#isPaused ? stallTimeoutMs : this.#cameAt + stallTimeoutMs - performance.now();
			if (leftMs > 0) {
				this.#timer = setTimeout(look, Math.ceil(leftMs));
			} else {
				this.#fail(new Error(`body timeout: nothing came for ${stallTimeoutMs} ms`));
			}
		};
		this.#timer = setTimeout(look, waitMs);
	}

	/** The reader, or the parser, has room again. */
	#goOn(): void {
		if (this.#isPaused) {
			this.#isPaused = false;
			this.#cameAt = performance.now();
			this.#connection.resume();
		}
	}

	#end(): void {
		if (this.#close()) {
			this.#over.resolve(this.#isReusable);
		}
	}

	#fail(error: Error): void {
		if (this.#close()) {
			this.#connection.destroy();
			this.#over.reject(error);
		}
	}

	/** False: it was before. */
	#close(): boolean {
		if (this.#state === 'over') {
			return false;
		}
		this.#isReusable &&= this.#state === 'raw';
		this.#state = 'over';
		clearTimeout(this.#timer);
		this.#connection.use(undefined);
		this.#parser.close();
		this.#sink.filler.close();
		return true;
	}

	// Calls change the state under who has looked at it.
	#isHead(): boolean {
		return this.#state === 'head';
	}

	#isRaw(): boolean {
		return this.#state === 'raw';
	}
}

/** Of a body that is nothing but its bytes, and so many of them. */
function plainLength({headersDistinct}: IncomingMessage): number | undefined {
	const [length = '', ...others] = headersDistinct['content-length'] ?? [];
	return headersDistinct['transfer-encoding'] === undefined && others.length === 0 && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}
