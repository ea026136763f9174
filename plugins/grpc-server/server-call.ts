import {once} from 'node:events';
import {constants, type ServerHttp2Stream} from 'node:http2';
import {KeelsonError} from '../../kernel/errors.ts';
import {MessageReader, PREFIX_BYTES, writePrefix} from './message-reader.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';
import {percentEncode, readHeaders} from './request-headers.ts';
import type {Status} from './status.ts';

export interface Limits {
	/** Bytes of one message. */
	readonly receiveMax: number;
	readonly sendMax: number;
}

/** Messages that wait for a handler; then the client is held back. */
const WAITING_MAX = 2;
/** Smaller ones are copied behind their prefix, which is less work than two writes. */
const COPIED_MAX_BYTES = 64 * 1024;
/** For a client to stop sending once it has its answer. */
const LINGER_MS = 1000;

/**
 * One call as gRPC has it over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): its requests, its replies, and the status that ends it. The first status counts; what
 * is written after it, or after the client went away, goes nowhere.
 */
export class ServerCall {
	readonly headers: ReadonlyMap<string, string>;
	/** How long the client waits, in milliseconds; undefined: as long as it takes. */
	readonly timeoutMs: number | undefined;
	/** Called once when the client has gone away before it had its status. */
	cancelled: (() => void) | undefined;
	/** Told of each message that goes either way. */
	counts: {received: number; sent: number} | undefined;
	readonly #stream: ServerHttp2Stream;
	readonly #limits: Limits;
	readonly #reader: MessageReader;
	readonly #waiting: (readonly Buffer[])[] = [];
	#isEnded = false;
	#isClosed = false;
	#failure: KeelsonError | undefined;
	#wake: PromiseWithResolvers<void> | undefined;
	#status: Status | undefined;

	constructor(stream: ServerHttp2Stream, rawHeaders: readonly string[], limits: Limits) {
		({headers: this.headers, timeoutMs: this.timeoutMs} = readHeaders(rawHeaders));
		this.#stream = stream;
		this.#limits = limits;
		this.#reader = new MessageReader(limits.receiveMax);
		stream.on('data', (chunk: Buffer) => this.#receive(chunk));
		stream.on('end', () => this.#receivedAll());
		// A stream that breaks is closed, which is all that counts.
		stream.on('error', () => {});
		stream.on('close', () => this.#closed());
	}

	/** The client's next message, in order, as the parts that it came in; undefined when there is none any more. Rejects with what is wrong with it, or CANCELLED when the client is gone. */
	async next(): Promise<readonly Buffer[] | undefined> {
		for (;;) {
			const message = this.#waiting.shift();
			if (message !== undefined) {
				if (this.counts !== undefined) {
					this.counts.received++;
				}
				if (this.#stream.isPaused()) {
					this.#stream.resume();
				}
				return message;
			}
			if (this.#failure !== undefined) {
				throw this.#failure;
			}
			// Made here and not when it closes: nearly all are answered by then, and an error costs its stack.
			if (this.#isClosed) {
				throw new KeelsonError('CANCELLED', 'the client went away');
			}
			if (this.#isEnded) {
				return undefined;
			}
			this.#wake ??= Promise.withResolvers();
			await this.#wake.promise;
		}
	}

	/** Sends a message; resolves when the client takes more. Rejects with RESOURCE_EXHAUSTED for one over the limit, and with the signal's reason. */
	async send(message: Uint8Array, signal: AbortSignal): Promise<void> {
		this.#refuseLarge(message);
		if (this.#status === undefined && !this.#stream.closed) {
			this.#respond();
			if (!this.#write(message)) {
				await untilAborted(once(this.#stream, 'drain', {signal}), signal);
			}
		}
	}

	/** Sends the only message, and that all is well. Throws RESOURCE_EXHAUSTED for one over the limit. */
	answer(message: Uint8Array): void {
		this.#refuseLarge(message);
		if (this.#status !== undefined || this.#stream.closed) {
			return;
		}
		this.#status = {code: 0, details: ''};
		this.#respond();
		this.#write(message);
		this.#end();
	}

	/** Ends the call. */
	end(status: Status): void {
		if (this.#status !== undefined || this.#stream.closed) {
			return;
		}
		this.#status = status;
		if (this.#stream.headersSent) {
			this.#end();
			return;
		}
		this.#stream.respond({...responseHeaders, ...trailersOf(status)}, {endStream: true});
		this.#linger();
	}

	#refuseLarge({byteLength}: Uint8Array): void {
		const {sendMax} = this.#limits;
		if (byteLength > sendMax) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `trying to send message larger than max (${byteLength} vs. ${sendMax})`);
		}
	}

	#respond(): void {
		if (!this.#stream.headersSent) {
			this.#stream.once('wantTrailers', () => this.#stream.sendTrailers(trailersOf(this.#status ?? {code: 0, details: ''})));
			this.#stream.respond(responseHeaders, {waitForTrailers: true});
		}
	}

	#write(message: Uint8Array): boolean {
		if (this.counts !== undefined) {
			this.counts.sent++;
		}
		const size = message.byteLength;
		if (size <= COPIED_MAX_BYTES) {
			const frame = Buffer.allocUnsafe(PREFIX_BYTES + size);
			writePrefix(frame, size);
			frame.set(message, PREFIX_BYTES);
			return this.#stream.write(frame);
		}
		const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
		writePrefix(prefix, size);
		this.#stream.cork();
		this.#stream.write(prefix);
		const hasRoom = this.#stream.write(message);
		this.#stream.uncork();
		return hasRoom;
	}

	#end(): void {
		this.#stream.end();
		this.#linger();
	}

	// A client that has not ended its side may go on sending: it is let do so for a while, since most stop once they have read the status.
	#linger(): void {
		if (this.#isEnded) {
			return;
		}
		this.#waiting.length = 0;
		this.#stream.resume();
		const timer = setTimeout(() => this.#stream.close(constants.NGHTTP2_NO_ERROR), LINGER_MS).unref();
		this.#stream.once('close', () => clearTimeout(timer));
	}

	#receive(chunk: Buffer): void {
		if (this.#status !== undefined || this.#failure !== undefined) {
			return;
		}
		try {
			this.#waiting.push(...this.#reader.push(chunk));
		} catch (error) {
			this.#failure = KeelsonError.from(error);
		}
		if (this.#waiting.length >= WAITING_MAX) {
			this.#stream.pause();
		}
		this.#awake();
	}

	#receivedAll(): void {
		this.#isEnded = true;
		if (this.#reader.isInside) {
			this.#failure ??= new KeelsonError('INVALID_ARGUMENT', 'the last message of a call is cut short');
		}
		this.#awake();
	}

	#closed(): void {
		this.#isClosed = true;
		this.#awake();
		if (this.#status === undefined) {
			this.cancelled?.();
		}
	}

	#awake(): void {
		this.#wake?.resolve();
		this.#wake = undefined;
	}
}

const responseHeaders = {':status': 200, 'content-type': 'application/grpc'} as const;

function trailersOf({code, details}: Status): Record<string, string> {
	return {'grpc-status': String(code), ...(details === '' ? {} : {'grpc-message': percentEncode(details)})};
}
