import {connect} from 'node:net';
import type {Duplex} from 'node:stream';
import {KeelsonError} from '../../kernel/errors.ts';
import {abortedError, toMetadata, type CallOptions} from './call.ts';
import {Channel} from './channel.ts';
import {ClientStream} from './client-stream.ts';
import {FLAG, FRAME, oversized, dataBytesMax, type Frame} from './frame.ts';
import {decodeResponse, encodeRequest} from './messages.ts';
import {fromStatus} from './status.ts';

export interface UnaryCall extends CallOptions {
	/** With its package: `containerd.task.v2.Task`. */
	readonly service: string;
	readonly method: string;
	readonly payload: Uint8Array;
}

export interface StreamCall extends CallOptions {
	readonly service: string;
	readonly method: string;
	/** The only request of a method that takes one; missing where the client streams. */
	readonly payload?: Uint8Array;
	/** Whether more is sent after the call: `send` and `end` of the stream. */
	readonly sends: boolean;
}

/** Takes the frames of one stream. Resolves when it can take more. */
interface Receiver {
	frame(frame: Frame): Promise<void> | void;
	fail(error: KeelsonError): void;
}

/**
 * A client of the protocol, many calls at a time over one connection, which it owns. The protocol cannot cancel a call: a cancelled
 * one ends here at once, and at the peer when its timeout, if it was given one, has passed.
 *
 * All calls reject with what the peer said; UNAVAILABLE when the connection ends before; CANCELLED or DEADLINE_EXCEEDED by the signal
 * or the timeout; RESOURCE_EXHAUSTED for a message over 4 MiB, either way, after which the connection goes on.
 */
export class TtrpcClient implements AsyncDisposable {
	/** Resolves when the connection is gone. */
	readonly closed: Promise<void>;
	readonly #channel: Channel;
	readonly #receivers = new Map<number, Receiver>();
	#lastStreamId = -1;

	/**
	 * @param framesPerSecond that are read of the peer at most; missing: all that it sends
	 * @param flooded called each time that the peer begins to send more than that for longer than a second
	 */
	constructor(connection: Duplex, framesPerSecond?: number, flooded?: () => void) {
		this.#channel = new Channel(connection, framesPerSecond, flooded);
		this.closed = this.#channel.closed;
		void this.#receive();
	}

	/** Whether the peer sends more than is read of it. */
	get isFlooding(): boolean {
		return this.#channel.isFlooding;
	}

	get isClosed(): boolean {
		return this.#channel.isClosed;
	}

	async unary(call: UnaryCall): Promise<Uint8Array> {
		const reply = Promise.withResolvers<Uint8Array>();
		const {ending, request, what} = this.#prepare(call, call.payload);
		refuseAborted(ending, what);
		const streamId = this.#open({
			frame: frame => {
				try {
					reply.resolve(readReply(frame));
				} catch (error) {
					reply.reject(error);
				}
				this.#receivers.delete(streamId);
			},
			fail: reply.reject,
		});
		const abort = (): void => reply.reject(abortedError(ending ?? AbortSignal.abort(), what));
		ending?.addEventListener('abort', abort, {once: true});
		try {
			// Not waited for: the reply may come, or the signal be aborted, before the peer has taken all of it.
			this.#channel.send({streamId, type: FRAME.REQUEST, flags: 0, data: request}).catch(reply.reject);
			return await reply.promise;
		} finally {
			ending?.removeEventListener('abort', abort);
			this.#receivers.delete(streamId);
		}
	}

	/** Begins a call in which messages stream, one way or both. Resolves once the request is written. */
	async stream(call: StreamCall): Promise<ClientStream> {
		const {ending, request, what} = this.#prepare(call, call.payload ?? new Uint8Array(0));
		refuseAborted(ending, what);
		const stream: ClientStream = new ClientStream({
			what,
			signal: ending,
			isSending: call.sends,
			send: async (flags, data) => this.#channel.send({streamId, type: FRAME.DATA, flags, data}),
			done: () => {
				this.#receivers.delete(streamId);
			},
		});
		const streamId = this.#open(stream.receiver);
		try {
			await this.#channel.send({streamId, type: FRAME.REQUEST, flags: call.sends ? FLAG.REMOTE_OPEN : FLAG.REMOTE_CLOSED, data: request});
		} catch (error) {
			stream.receiver.fail(KeelsonError.from(error));
			throw error;
		}
		return stream;
	}

	/** Ends the connection, and with it the calls that are not answered yet. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#channel.close();
		await this.#channel.closed;
	}

	#prepare(call: CallOptions & {readonly service: string; readonly method: string}, payload: Uint8Array): Prepared {
		const {service, method, timeoutMs, signal} = call;
		const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(Math.max(0, timeoutMs));
		const signals = [signal, timeout].filter(one => one !== undefined);
		const timeoutNano = timeoutMs === undefined ? 0n : BigInt(Math.max(1, Math.round(timeoutMs * 1e6)));
		const request = encodeRequest({service, method, payload, timeoutNano, metadata: toMetadata(call.metadata)});
		return {request, ending: signals.length > 1 ? AbortSignal.any(signals) : signals[0], what: `ttrpc: ${service}/${method}`};
	}

	#open(receiver: Receiver): number {
		if (this.#channel.isClosed) {
			throw this.#channel.closedError();
		}
		this.#lastStreamId += 2;
		if (this.#lastStreamId > 0xffffffff) {
			throw new KeelsonError('UNAVAILABLE', 'ttrpc: the connection has no stream ids left');
		}
		this.#receivers.set(this.#lastStreamId, receiver);
		return this.#lastStreamId;
	}

	async #receive(): Promise<void> {
		let reason: unknown;
		try {
			for await (const frame of this.#channel.frames()) {
				// None waits for what comes after the end of a call.
				await this.#receivers.get(frame.streamId)?.frame(frame);
			}
		} catch (error) {
			reason = error;
		}
		this.#channel.close();
		const error = new KeelsonError('UNAVAILABLE', 'ttrpc: closed', {cause: this.#channel.closedError().cause ?? reason});
		for (const receiver of this.#receivers.values()) {
			receiver.fail(error);
		}
		this.#receivers.clear();
	}
}

/**
 * Connects to a unix socket. Rejects with NOT_FOUND when there is none, UNAVAILABLE when nobody listens, CANCELLED or DEADLINE_EXCEEDED
 * by the signal.
 */
export async function connectTtrpc(path: string, {signal, framesPerSecond, flooded}: {
	readonly signal?: AbortSignal; readonly framesPerSecond?: number; readonly flooded?: () => void;
} = {}): Promise<TtrpcClient> {
	refuseAborted(signal, `ttrpc: connect to ${path}`);
	const socket = connect(path);
	const connected = Promise.withResolvers<void>();
	const abort = (): void => connected.reject(abortedError(signal ?? AbortSignal.abort(), `ttrpc: connect to ${path}`));
	socket.once('connect', connected.resolve);
	socket.once('error', connected.reject);
	signal?.addEventListener('abort', abort, {once: true});
	try {
		await connected.promise;
		return new TtrpcClient(socket, framesPerSecond, flooded);
	} catch (error) {
		socket.destroy();
		const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
		throw error instanceof KeelsonError ? error : new KeelsonError(missing ? 'NOT_FOUND' : 'UNAVAILABLE', `ttrpc: connect to ${path}`, {cause: error});
	} finally {
		socket.off('error', connected.reject);
		signal?.removeEventListener('abort', abort);
	}
}

interface Prepared {
	readonly request: Uint8Array;
	readonly ending: AbortSignal | undefined;
	readonly what: string;
}

function refuseAborted(signal: AbortSignal | undefined, what: string): void {
	if (signal?.aborted === true) {
		throw abortedError(signal, what);
	}
}

function readReply(frame: Frame): Uint8Array {
	if (frame.oversizedBytes !== undefined) {
		throw oversized(frame.oversizedBytes, dataBytesMax);
	}
	if (frame.type !== FRAME.RESPONSE) {
		throw new KeelsonError('INTERNAL', `ttrpc: a unary call was answered by a frame of type ${frame.type}, expected ${FRAME.RESPONSE}`);
	}
	const {status, payload} = decodeResponse(frame.data);
	if (status.code !== 0) {
		throw fromStatus(status);
	}
	return payload;
}
