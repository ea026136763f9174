import type {IncomingMessage} from 'node:http';
import {AnswerParser, type Head} from './answer-parser.ts';
import {Outlet} from './outlet.ts';
import type {PieceFiller} from './piece-filler.ts';
import type {RawConnection, Taker} from './raw-connection.ts';
import {StallWatch} from './stall-watch.ts';

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
	readonly #headTimer: NodeJS.Timeout;
	readonly #stall: StallWatch;

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
		this.#stall = new StallWatch(request.stallTimeoutMs, error => this.#fail(error));
		this.#headTimer = setTimeout(() => this.#fail(new Error(`headers timeout: no answer within ${request.headersTimeoutMs} ms`)), request.headersTimeoutMs);
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
		this.#stall.came();
		const isPlaced = bytes === this.#place;
		switch (this.#state) {
			case 'head': {
				this.#begin(this.#parser.feedHead(bytes.subarray(0, count)));
				break;
			}
			case 'raw': {
				if (isPlaced) {
					this.#sink.filler.filled(count);
					this.#left -= count;
				} else {
					this.#copy(bytes.subarray(0, count));
				}
				this.#afterBytes();
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

	/** With the head came the first bytes of the body, perhaps. */
	#begin(head: Head | undefined): void {
		if (head === undefined) {
			return;
		}
		const {response, rest} = head;
		const {statusCode = 0, headers, httpVersion} = response;
		this.#isReusable = httpVersion === '1.1' && !/(?:^|[\s,])close(?:$|[\s,])/i.test(headers.connection ?? '');
		clearTimeout(this.#headTimer);
		this.#stall.begin();
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
		this.#afterBytes();
	}

	#pour(response: IncomingMessage): void {
		const outlet = new Outlet(this.#sink.filler);
		response.on('error', error => this.#fail(this.#gone ?? error));
		outlet.on('finish', () => this.#end());
		response.pipe(outlet);
	}

	#parse(bytes: Buffer): void {
		if (!this.#parser.feed(bytes)) {
			this.#pause();
		}
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

	#afterBytes(): void {
		if (this.#left === 0) {
			this.#end();
		} else if (this.#sink.filler.isBehind) {
			this.#pause();
		}
	}

	/** Whoever reads from the connection is told so by what `took` gives. */
	#pause(): void {
		this.#isPaused = true;
		this.#stall.pause();
	}

	/** The reader, or the parser, has room again. */
	#goOn(): void {
		if (this.#isPaused) {
			this.#isPaused = false;
			this.#stall.resume();
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
		clearTimeout(this.#headTimer);
		this.#stall.stop();
		this.#connection.use(undefined);
		// TLS may bring the last bytes while nobody wants any: the connection has to be heard for whoever has it next, and for its end.
		this.#goOn();
		this.#parser.close();
		this.#sink.filler.close();
		return true;
	}
}

/** Of a body that is nothing but its bytes, and so many of them. */
function plainLength({headersDistinct}: IncomingMessage): number | undefined {
	const [length = '', ...others] = headersDistinct['content-length'] ?? [];
	return headersDistinct['transfer-encoding'] === undefined && others.length === 0 && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}
