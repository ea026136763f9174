import type {Duplex} from 'node:stream';
import {KeelsonError} from '../../kernel/errors.ts';
import {Channel} from './channel.ts';
import {dataBytesMax, FLAG, FRAME, oversized, type Frame} from './frame.ts';
import {Inbox} from './inbox.ts';
import {decodeRequest, encodeResponse, type Request} from './messages.ts';
import {abortedError, type CallContext} from './call.ts';
import type {StreamMethod, TtrpcService, UnaryMethod} from './service.ts';
import {success, toStatus} from './status.ts';

export interface ServerLimits {
	/** Calls of one connection at a time; the next are refused with RESOURCE_EXHAUSTED. Default 1024. */
	readonly callsMax: number;
	/** That are read of one connection at most; what it sends beyond that waits in its socket. Default: all that it sends. */
	readonly framesPerSecond?: number | undefined;
}

/** The server's end of one connection. Calls begin in the order in which they came. */
export class ServerConnection {
	/** Resolves when the connection is gone and every handler has ended. */
	readonly done: Promise<void>;
	readonly #channel: Channel;
	readonly #services: ReadonlyMap<string, TtrpcService>;
	readonly #limits: ServerLimits;
	readonly #calls = new Map<number, Call>();
	readonly #closing = new AbortController();
	#lastStreamId = 0;
	#isDraining = false;

	constructor(connection: Duplex, services: ReadonlyMap<string, TtrpcService>, limits: ServerLimits) {
		this.#channel = new Channel(connection, limits.framesPerSecond);
		this.#services = services;
		this.#limits = limits;
		this.done = this.#receive();
	}

	/** Refuses new calls from now on and closes when those at work are answered. */
	drain(): void {
		this.#isDraining = true;
		this.#closeWhenIdle();
	}

	close(): void {
		this.#closing.abort(new KeelsonError('CANCELLED', 'ttrpc: the server is closed'));
		this.#channel.close();
	}

	async #receive(): Promise<void> {
		try {
			for await (const frame of this.#channel.frames()) {
				await this.#take(frame);
				// A client that does not read its answers is not read either: so those that wait are few.
				await this.#channel.room();
			}
		} catch {
			// How the connection ended makes no difference to anybody here: the client is gone.
		}
		this.#closing.abort(new KeelsonError('CANCELLED', 'ttrpc: the client is gone'));
		this.#channel.close();
		for (const call of this.#calls.values()) {
			call.inbox?.fail(new KeelsonError('UNAVAILABLE', 'ttrpc: closed'));
		}
		await Promise.all(Array.from(this.#calls.values(), async ({ended}) => ended));
		await this.#channel.closed;
	}

	async #take(frame: Frame): Promise<void> {
		try {
			if (frame.oversizedBytes !== undefined) {
				throw oversized(frame.oversizedBytes, dataBytesMax);
			}
			if (frame.streamId % 2 !== 1) {
				throw new KeelsonError('INVALID_ARGUMENT', `ttrpc: stream id ${frame.streamId} of a client is even`);
			}
			if (frame.type === FRAME.REQUEST) {
				this.#begin(frame);
			} else if (frame.type === FRAME.DATA) {
				await this.#pass(frame);
			}
		} catch (error) {
			const call = this.#calls.get(frame.streamId);
			if (call?.inbox === undefined) {
				await this.#fail(frame.streamId, error);
			} else {
				call.inbox.fail(error);
			}
		}
	}

	#begin(frame: Frame): void {
		const {streamId} = frame;
		if (streamId <= this.#lastStreamId) {
			throw new KeelsonError('INVALID_ARGUMENT', `ttrpc: stream id ${streamId} is not above ${this.#lastStreamId}`);
		}
		this.#lastStreamId = streamId;
		if (this.#isDraining) {
			throw new KeelsonError('UNAVAILABLE', 'ttrpc: the server is closing');
		}
		if (this.#calls.size >= this.#limits.callsMax) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `ttrpc: ${this.#limits.callsMax} calls of this connection are at work`);
		}
		const request = decodeRequest(frame.data);
		const method = this.#find(request);
		const inbox = 'stream' in method ? new Inbox() : undefined;
		const ended = this.#run({streamId, request, method, inbox, flags: frame.flags}).finally(() => {
			this.#calls.delete(streamId);
			this.#closeWhenIdle();
		});
		this.#calls.set(streamId, {inbox, ended});
	}

	#find({service, method}: Request): UnaryMethod | StreamMethod {
		const methods = this.#services.get(service)?.methods;
		if (methods === undefined) {
			throw new KeelsonError('UNIMPLEMENTED', `service ${service} is not served here`);
		}
		const found = Object.hasOwn(methods, method) ? methods[method] : undefined;
		if (found === undefined) {
			throw new KeelsonError('UNIMPLEMENTED', `method ${method} of service ${service} is not served here`);
		}
		return found;
	}

	async #pass(frame: Frame): Promise<void> {
		const inbox = this.#calls.get(frame.streamId)?.inbox;
		if (inbox === undefined) {
			// The call may have ended by itself before the client knew; only a stream that never was is an error.
			if (frame.streamId > this.#lastStreamId) {
				throw new KeelsonError('INVALID_ARGUMENT', `ttrpc: data for stream ${frame.streamId}, which was not begun`);
			}
			return;
		}
		if ((frame.flags & FLAG.NO_DATA) === 0) {
			await inbox.push(frame.data);
		}
		if ((frame.flags & FLAG.REMOTE_CLOSED) !== 0) {
			inbox.end();
		}
	}

	async #run({streamId, request, method, inbox, flags}: Work): Promise<void> {
		const timeoutMs = request.timeoutNano > 0n ? Number(request.timeoutNano) / 1e6 : undefined;
		const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(Math.min(Math.ceil(timeoutMs), timerMsMax));
		const context: CallContext = {
			service: request.service,
			method: request.method,
			metadata: request.metadata,
			signal: timeout === undefined ? this.#closing.signal : AbortSignal.any([this.#closing.signal, timeout]),
			deadline: timeoutMs === undefined ? undefined : Date.now() + timeoutMs,
		};
		try {
			if ('stream' in method) {
				await this.#runStream(streamId, method, {inbox: fill(inbox ?? new Inbox(), request.payload, method, flags), context});
			} else {
				await this.#respond(streamId, await method.handle(request.payload, context));
			}
		} catch (error) {
			await this.#fail(streamId, timeout?.aborted === true && isAbort(error) ? abortedError(timeout, `ttrpc: ${request.service}/${request.method}`) : error);
		}
	}

	async #runStream(streamId: number, method: StreamMethod, {inbox, context}: {readonly inbox: Inbox; readonly context: CallContext}): Promise<void> {
		for await (const message of method.stream(inbox, context)) {
			context.signal.throwIfAborted();
			if (!method.responseStream) {
				await this.#respond(streamId, message);
				return;
			}
			await this.#channel.send({streamId, type: FRAME.DATA, flags: 0, data: message});
		}
		if (!method.responseStream) {
			throw new KeelsonError('INTERNAL', 'ttrpc: the handler gave no response');
		}
		await this.#channel.send({streamId, type: FRAME.DATA, flags: FLAG.REMOTE_CLOSED | FLAG.NO_DATA, data: new Uint8Array(0)});
	}

	async #respond(streamId: number, payload: Uint8Array): Promise<void> {
		await this.#channel.send({streamId, type: FRAME.RESPONSE, flags: 0, data: encodeResponse({status: success, payload})});
	}

	async #fail(streamId: number, error: unknown): Promise<void> {
		try {
			const data = encodeResponse({status: toStatus(error), payload: new Uint8Array(0)});
			await this.#channel.send({streamId, type: FRAME.RESPONSE, flags: 0, data});
		} catch {
			// Only a connection that is gone refuses these few bytes.
			this.#channel.close();
		}
	}

	#closeWhenIdle(): void {
		if (this.#isDraining && this.#calls.size === 0) {
			this.#channel.end();
		}
	}
}

function fill(inbox: Inbox, payload: Uint8Array, {requestStream}: StreamMethod, flags: number): Inbox {
	if (payload.length > 0 || !requestStream) {
		void inbox.push(payload);
	}
	if (!requestStream || (flags & FLAG.REMOTE_OPEN) === 0) {
		inbox.end();
	}
	return inbox;
}

function isAbort(error: unknown): boolean {
	return error instanceof Error && (['AbortError', 'TimeoutError'].includes(error.name) || ('code' in error && error.code === 'CANCELLED'));
}

interface Call {
	readonly inbox: Inbox | undefined;
	readonly ended: Promise<void>;
}

interface Work {
	readonly streamId: number;
	readonly request: Request;
	readonly method: UnaryMethod | StreamMethod;
	readonly inbox: Inbox | undefined;
	readonly flags: number;
}

const timerMsMax = 2 ** 31 - 1;
