import {performance} from 'node:perf_hooks';
import type {
	Metadata, Server, ServerDuplexStream, ServerReadableStream, ServerUnaryCall, ServerWritableStream, UntypedHandleCall, sendUnaryData,
} from '@grpc/grpc-js';
import type {CallContext, GrpcService, Method} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import {decode, encode, headersOf, requestsOf, sendAll} from './calls.ts';
import type {OpenCalls} from './open-calls.ts';
import {orAborted} from './or-aborted.ts';
import {isUnforeseen, statusOf, type Status} from './status.ts';

/** What all kinds of calls have. */
interface SurfaceCall {
	readonly metadata: Metadata;
	getDeadline(): Date | number;
	once(event: 'cancelled', listener: () => void): unknown;
	off(event: 'cancelled', listener: () => void): unknown;
	emit(event: 'error', status: Status): unknown;
}

const TYPES = {'unary': 'unary', 'server-stream': 'serverStream', 'client-stream': 'clientStream', 'bidi': 'bidi'} as const satisfies Record<Method['kind'], string>;

/** Puts all methods of a service on a grpc-js server. Throws ALREADY_EXISTS when another service has one of them. */
export function register(server: Server, service: GrpcService, calls: OpenCalls, log: Logger): void {
	for (const method of service.methods) {
		const path = `/${service.name}/${method.name}`;
		const kind = method.kind === 'unary' && service.waits?.includes(method.name) !== true ? 'brief' : 'lasting';
		const answer = new Answer(path, kind, calls, log);
		// Messages pass as bytes: what does not decode is then refused in words, and grpc-js has none for it.
		if (!server.register(path, handlerOf(method, path, answer), pass, pass, TYPES[method.kind])) {
			throw new KeelsonError('ALREADY_EXISTS', `two plugins serve ${path}: already exists`);
		}
	}
}

function pass(bytes: Buffer): Buffer {
	return bytes;
}

function handlerOf(method: Method, path: string, answer: Answer): UntypedHandleCall {
	switch (method.kind) {
		case 'unary':
			return (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => answer.once(call, reply, async context =>
				encode(method.response, await method.handle(decode(method.request, call.request, path), context)));
		case 'client-stream':
			return (call: ServerReadableStream<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => answer.once(call, reply, async context =>
				encode(method.response, await method.handle(requestsOf(call, method.request, path, context.signal), context)));
		case 'server-stream':
			return (call: ServerWritableStream<Buffer, Buffer>) => answer.stream(call, async context =>
				sendAll(call, method.response, method.handle(decode(method.request, call.request, path), context), context));
		case 'bidi':
			return (call: ServerDuplexStream<Buffer, Buffer>) => answer.stream(call, async context =>
				sendAll(call, method.response, method.handle(requestsOf(call, method.request, path, context.signal), context), context));
	}
}

/** Runs the handlers of one method; whatever they throw becomes a status here, and nowhere else. */
class Answer {
	readonly #path: string;
	readonly #kind: 'brief' | 'lasting';
	readonly #calls: OpenCalls;
	readonly #log: Logger;

	constructor(path: string, kind: 'brief' | 'lasting', calls: OpenCalls, log: Logger) {
		this.#path = path;
		this.#kind = kind;
		this.#calls = calls;
		this.#log = log;
	}

	once(call: SurfaceCall, reply: sendUnaryData<Buffer>, handle: (context: CallContext) => Promise<Buffer>): void {
		this.#run(call, handle).then(bytes => reply(null, bytes), (error: unknown) => reply(this.#status(error)));
	}

	stream(call: SurfaceCall & {end(): void}, handle: (context: CallContext) => Promise<void>): void {
		this.#run(call, handle).then(() => call.end(), (error: unknown) => call.emit('error', this.#status(error)));
	}

	async #run<T>(call: SurfaceCall, handle: (context: CallContext) => Promise<T>): Promise<T> {
		const start = performance.now();
		using open = this.#calls.open(this.#kind);
		const cancelled = (): void => open.abort(reasonOf(call));
		call.once('cancelled', cancelled);
		try {
			open.signal.throwIfAborted();
			return await orAborted(handle({headers: headersOf(call.metadata), signal: open.signal}), open.signal);
		} finally {
			call.off('cancelled', cancelled);
			this.#log.trace('answered', {method: this.#path, ms: Math.round(performance.now() - start)});
		}
	}

	#status(error: unknown): Status {
		const status = statusOf(error);
		if (isUnforeseen(error)) {
			this.#log.error('a call failed in a way that nobody foresaw', {method: this.#path, error});
		} else {
			this.#log.debug('a call failed', {method: this.#path, code: status.code, message: status.details});
		}
		return status;
	}
}

function reasonOf(call: SurfaceCall): KeelsonError {
	return Number(call.getDeadline()) <= Date.now()
		? new KeelsonError('DEADLINE_EXCEEDED', 'the deadline that the client gave has passed')
		: new KeelsonError('CANCELLED', 'the client went away');
}
