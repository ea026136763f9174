import {performance} from 'node:perf_hooks';
import type {CallContext, GrpcService, Method} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import {decode, encode, requestOf, requestsOf, sendAll} from './calls.ts';
import type {OpenCalls} from './open-calls.ts';
import {orAborted} from './or-aborted.ts';
import type {ServerCall} from './server-call.ts';
import {isUnforeseen, statusOf, type Status} from './status.ts';

/** Answers a call of one method. Never throws. */
export type Route = (call: ServerCall) => void;

/** All methods of services by their paths. Throws ALREADY_EXISTS when two services have the same. */
export function routesOf(services: Iterable<GrpcService>, calls: OpenCalls, log: Logger): ReadonlyMap<string, Route> {
	const routes = new Map<string, Route>();
	for (const service of services) {
		for (const method of service.methods) {
			const path = `/${service.name}/${method.name}`;
			if (routes.has(path)) {
				throw new KeelsonError('ALREADY_EXISTS', `two plugins serve ${path}: already exists`);
			}
			const kind = method.kind === 'unary' && service.waits?.includes(method.name) !== true ? 'brief' : 'lasting';
			routes.set(path, routeOf(method, path, new Answer(path, kind, calls, log)));
		}
	}
	return routes;
}

function routeOf(method: Method, path: string, answer: Answer): Route {
	switch (method.kind) {
		case 'unary':
			return call => answer.once(call, async context =>
				encode(method.response, await method.handle(decode(method.request, await requestOf(call), path), context)));
		case 'client-stream':
			return call => answer.once(call, async context =>
				encode(method.response, await method.handle(requestsOf(call, method.request, path, context.signal), context)));
		case 'server-stream':
			return call => answer.stream(call, async context =>
				sendAll(call, method.response, method.handle(decode(method.request, await requestOf(call), path), context), context));
		case 'bidi':
			return call => answer.stream(call, async context =>
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

	once(call: ServerCall, handle: (context: CallContext) => Promise<Uint8Array>): void {
		this.#run(call, handle).then(bytes => call.answer(bytes)).catch((error: unknown) => call.end(this.#status(error)));
	}

	stream(call: ServerCall, handle: (context: CallContext) => Promise<void>): void {
		this.#run(call, handle).then(() => call.end({code: 0, details: ''}), (error: unknown) => call.end(this.#status(error)));
	}

	async #run<T>(call: ServerCall, handle: (context: CallContext) => Promise<T>): Promise<T> {
		const start = performance.now();
		using open = this.#calls.open(this.#kind);
		call.cancelled = () => open.abort(new KeelsonError('CANCELLED', 'the client went away'));
		const {timeoutMs} = call;
		const deadline = timeoutMs === undefined ? undefined : setTimeout(() => {
			open.abort(new KeelsonError('DEADLINE_EXCEEDED', 'the deadline that the client gave has passed'));
		}, timeoutMs);
		try {
			open.signal.throwIfAborted();
			return await orAborted(handle({headers: call.headers, signal: open.signal}), open.signal);
		} finally {
			clearTimeout(deadline);
			call.cancelled = undefined;
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
