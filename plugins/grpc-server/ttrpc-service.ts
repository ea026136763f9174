import type {CallContext, GrpcService, Method} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import type {CallContext as TtrpcContext} from '../../lib/ttrpc/call.ts';
import type {TtrpcService, UnaryMethod} from '../../lib/ttrpc/service.ts';
import {decode} from './calls.ts';
import {isUnforeseen} from './status.ts';

/** The same service for ttrpc. Throws UNIMPLEMENTED for one with streams: shims call none. */
export function ttrpcServiceOf({name, methods}: GrpcService, log: Logger): TtrpcService {
	return {name, methods: Object.fromEntries(methods.map(method => [method.name, unaryOf(name, method, log)]))};
}

function unaryOf(service: string, method: Method, log: Logger): UnaryMethod {
	const path = `${service}/${method.name}`;
	if (method.kind !== 'unary') {
		throw new KeelsonError('UNIMPLEMENTED', `${path} streams, which is not served over ttrpc`);
	}
	return {
		async handle(payload, context) {
			try {
				const reply = await method.handle(decode(method.request, [payload], path), contextOf(context));
				return method.response.encode(reply).finish();
			} catch (error) {
				if (isUnforeseen(error)) {
					log.error('a call over ttrpc failed in a way that nobody foresaw', {method: path, error});
				}
				throw error;
			}
		},
	};
}

function contextOf({metadata, signal}: TtrpcContext): CallContext {
	const headers = new Map<string, string>();
	for (const [name, values] of metadata) {
		headers.set(name, values[0] ?? '');
	}
	return {headers, signal};
}
