import {KeelsonError} from '../../kernel/errors.ts';
import {abortedError} from './call.ts';
import {dataBytesMax, FLAG, FRAME, oversized, type Frame} from './frame.ts';
import {Inbox} from './inbox.ts';
import {decodeResponse} from './messages.ts';
import {fromStatus} from './status.ts';

interface ClientStreamParts {
	readonly what: string;
	readonly signal: AbortSignal | undefined;
	readonly isSending: boolean;
	readonly send: (flags: number, data: Uint8Array) => Promise<void>;
	readonly done: () => void;
}

/**
 * A call in which messages stream. What the peer sends is iterated over, once: its messages, and where it does not stream its one
 * response. The iteration rejects as `TtrpcClient` says, and must go on: a stream that is not read for 5 seconds fails.
 */
export class ClientStream implements AsyncIterable<Uint8Array> {
	readonly receiver = {
		frame: async (frame: Frame): Promise<void> => this.#receive(frame),
		fail: (error: KeelsonError): void => this.#finish(error),
	};
	readonly #parts: ClientStreamParts;
	readonly #inbox = new Inbox();
	readonly #abort = (): void => this.#finish(abortedError(this.#parts.signal ?? AbortSignal.abort(), this.#parts.what));
	#isSending: boolean;
	#ended: {readonly error: KeelsonError | undefined} | undefined;

	constructor(parts: ClientStreamParts) {
		this.#parts = parts;
		this.#isSending = parts.isSending;
		parts.signal?.addEventListener('abort', this.#abort, {once: true});
	}

	/** Resolves when there is room for more. Rejects as the call did when it is over, FAILED_PRECONDITION after `end`. */
	async send(message: Uint8Array): Promise<void> {
		this.#mustSend();
		await this.#parts.send(0, message);
	}

	/** Says that no more is sent; the peer may go on. A second time is harmless. */
	async end(): Promise<void> {
		if (!this.#isSending || this.#ended !== undefined) {
			return;
		}
		this.#isSending = false;
		await this.#parts.send(FLAG.REMOTE_CLOSED | FLAG.NO_DATA, new Uint8Array(0));
	}

	/** Ends the call here, with the error for whoever reads it. The peer is not told; see `TtrpcClient`. */
	cancel(error = new KeelsonError('CANCELLED', `${this.#parts.what}: cancelled`)): void {
		this.#finish(error);
	}

	/** For one that stops reading early, too: the peer's messages are dropped from then on. */
	async* [Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
		try {
			yield* this.#inbox;
		} finally {
			this.#finish(new KeelsonError('CANCELLED', `${this.#parts.what}: no longer read`));
		}
	}

	/** The one response of a peer that does not stream. Rejects with INTERNAL when there was none. */
	async response(): Promise<Uint8Array> {
		for await (const message of this) {
			return message;
		}
		throw new KeelsonError('INTERNAL', `${this.#parts.what}: the stream ended without a response`);
	}

	#mustSend(): void {
		if (this.#ended !== undefined) {
			throw this.#ended.error ?? new KeelsonError('FAILED_PRECONDITION', `${this.#parts.what}: the peer has ended the stream`);
		}
		if (!this.#isSending) {
			throw new KeelsonError('FAILED_PRECONDITION', `${this.#parts.what}: nothing can be sent any more`);
		}
	}

	async #receive(frame: Frame): Promise<void> {
		if (frame.oversizedBytes !== undefined) {
			this.#finish(oversized(frame.oversizedBytes, dataBytesMax));
			return;
		}
		if (frame.type === FRAME.DATA) {
			if ((frame.flags & FLAG.NO_DATA) === 0) {
				await this.#inbox.push(frame.data);
			}
			if ((frame.flags & FLAG.REMOTE_CLOSED) !== 0) {
				this.#finish(undefined);
			}
		} else if (frame.type === FRAME.RESPONSE) {
			await this.#respond(frame.data);
		}
	}

	async #respond(data: Uint8Array): Promise<void> {
		try {
			const {status, payload} = decodeResponse(data);
			if (status.code !== 0) {
				throw fromStatus(status);
			}
			await this.#inbox.push(payload);
			this.#finish(undefined);
		} catch (error) {
			this.#finish(KeelsonError.from(error));
		}
	}

	#finish(error: KeelsonError | undefined): void {
		if (this.#ended !== undefined) {
			return;
		}
		this.#ended = {error};
		this.#parts.signal?.removeEventListener('abort', this.#abort);
		this.#parts.done();
		if (error === undefined) {
			this.#inbox.end();
		} else {
			this.#inbox.fail(error);
		}
	}
}
