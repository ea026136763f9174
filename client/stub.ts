import type {CallOptions, Channel, MethodOf} from './channel.ts';

/** The shape of a generated service definition. */
export interface ServiceDefinition {
	readonly fullName: string;
	readonly methods: Readonly<Record<string, MethodShape>>;
}

interface MethodShape {
	readonly name: string;
	readonly requestType: unknown;
	readonly requestStream: boolean;
	readonly responseType: unknown;
	readonly responseStream: boolean;
}

/** What may be left out of a request has its default. */
type RequestOf<M extends MethodShape> = M['requestType'] extends {fromPartial(partial: infer P): unknown} ? P : never;
type ResponseOf<M extends MethodShape> = M['responseType'] extends {decode(...parameters: never[]): infer T} ? T : never;

/** One method: a promise for one answer, an async iterable for many; leaving the iteration cancels the call. */
export type MethodStub<M extends MethodShape> = M['requestStream'] extends true
	? M['responseStream'] extends true
		? (requests: AsyncIterable<RequestOf<M>>, options?: CallOptions) => AsyncGenerator<ResponseOf<M>, void, undefined>
		: (requests: AsyncIterable<RequestOf<M>>, options?: CallOptions) => Promise<ResponseOf<M>>
	: M['responseStream'] extends true
		? (request: RequestOf<M>, options?: CallOptions) => AsyncGenerator<ResponseOf<M>, void, undefined>
		: (request: RequestOf<M>, options?: CallOptions) => Promise<ResponseOf<M>>;

/** A typed function for each method of a service. Each rejects with KeelsonError: the daemon's code, UNAVAILABLE when nobody answers. */
export type Stub<D extends ServiceDefinition> = {readonly [Name in keyof D['methods']]: MethodStub<D['methods'][Name]>};

/** The functions of a service, whose calls go through a channel. */
export function stub<const D extends ServiceDefinition>(channel: Channel, definition: D): Stub<D> {
	const methods = Object.entries(definition.methods).map(([key, shape]) => [key, methodStub(channel, definition.fullName, shape as MethodOf)]);
	// The definition's own types say what each function takes and gives; fromEntries forgets them.
	return Object.fromEntries(methods) as Stub<D>;
}

function methodStub(channel: Channel, service: string, method: MethodOf): unknown {
	if (method.requestStream) {
		return method.responseStream
			? (requests: AsyncIterable<object>, options?: CallOptions) => channel.bidi(service, method, requests, options)
			: async (requests: AsyncIterable<object>, options?: CallOptions) => channel.clientStream(service, method, requests, options);
	}
	return method.responseStream
		? (request: object, options?: CallOptions) => channel.serverStream(service, method, request, options)
		: async (request: object, options?: CallOptions) => channel.unary(service, method, request, options);
}
