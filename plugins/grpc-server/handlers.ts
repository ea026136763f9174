import {performance} from 'node:perf_hooks';
import type {CallContext, GrpcService, Method} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import type {CallCounts, MethodCounts} from './call-counts.ts';
import {decode, encode, requestOf, requestsOf, sendAll} from './calls.ts';
import type {OpenCalls} from './open-calls.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';
import type {ServerCall} from './server-call.ts';
import {isUnforeseen, statusOf, type Status} from './status.ts';

/** Answers a call of one method. Never throws. */
export type Route = (call: ServerCall) => void;

export interface RouteParts {
	readonly calls: OpenCalls;
	readonly log: Logger;
	/** Where calls are counted; undefined: nowhere. */
	readonly counts: CallCounts | undefined;
}

/** All methods of services by their paths. Throws ALREADY_EXISTS when two services have the same. */
export function routesOf(services: Iterable<GrpcService>, {calls, log, counts}: RouteParts): ReadonlyMap<string, Route> {
	const routes = new Map<string, Route>();
	for (const service of services) {
		for (const method of service.methods) {
			const path = `/${service.name}/${method.name}`;
			if (routes.has(path)) {
				throw new KeelsonError('ALREADY_EXISTS', `two plugins serve ${path}: already exists`);
			}
			const kind = method.kind === 'unary' && service.waits?.includes(method.name) !== true ? 'brief' : 'lasting';
			routes.set(path, routeOf(method, path, new Answer({path, kind, calls, log, counts: counts?.method(service.name, method)})));
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
	readonly #counts: MethodCounts | undefined;

	constructor({path, kind, calls, log, counts}: Pick<RouteParts, 'calls' | 'log'> & {readonly path: string; readonly kind: 'brief' | 'lasting'; readonly counts: MethodCounts | undefined}) {
		this.#path = path;
		this.#kind = kind;
		this.#calls = calls;
		this.#log = log;
		this.#counts = counts;
	}

	once(call: ServerCall, handle: (context: CallContext) => Promise<Uint8Array>): void {
		const start = this.#begin(call);
		this.#run(call, handle).then(bytes => {
			call.answer(bytes);
			this.#counts?.handled(0, start);
		}).catch((error: unknown) => this.#end(call, this.#status(error), start));
	}

	stream(call: ServerCall, handle: (context: CallContext) => Promise<void>): void {
		const start = this.#begin(call);
		void this.#run(call, handle).then(() => ({code: 0, details: ''}), (error: unknown) => this.#status(error)).then(status => this.#end(call, status, start));
	}

	#begin(call: ServerCall): number {
		if (this.#counts !== undefined) {
			this.#counts.started++;
			call.counts = this.#counts;
		}
		return performance.now();
	}

	#end(call: ServerCall, status: Status, start: number): void {
		call.end(status);
		this.#counts?.handled(status.code, start);
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
			return await untilAborted(handle({headers: call.headers, signal: open.signal}), open.signal);
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
