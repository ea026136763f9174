import {KeelsonError} from '../../kernel/errors.ts';
import type {CallContext, CallOptions} from './call.ts';
import type {ClientStream} from './client-stream.ts';
import type {TtrpcClient} from './client.ts';
import type {StreamMethod, TtrpcService, UnaryMethod} from './service.ts';

/** A message's codec, in the shape in which ts-proto generates it. */
export interface MessageCodec<T> {
	encode(message: T): {finish(): Uint8Array};
	decode(bytes: Uint8Array): T;
	/** Completes a message; clients and handlers may leave fields out where it exists. */
	fromPartial?(partial: object): T;
}

/** A method's definition, in the shape of ts-proto's `outputServices=generic-definitions`. */
export interface MethodDefinition<Request = unknown, Response = unknown> {
	readonly name: string;
	readonly requestType: MessageCodec<Request>;
	readonly requestStream: boolean;
	readonly responseType: MessageCodec<Response>;
	readonly responseStream: boolean;
}

export interface ServiceDefinition {
	readonly fullName: string;
	readonly methods: Readonly<Record<string, MethodDefinition>>;
}

type RequestOf<M> = M extends {readonly requestType: MessageCodec<infer Request>} ? Request : never;
type ResponseOf<M> = M extends {readonly responseType: MessageCodec<infer Response>} ? Response : never;
type Requests<M> = M extends {readonly requestStream: true} ? AsyncIterable<RequestOf<M>> : RequestOf<M>;

/** Takes one request, or many, and gives one response, or many. */
export type TypedHandler<M> = M extends {readonly responseStream: true}
	? (request: Requests<M>, context: CallContext) => AsyncIterable<Partial<ResponseOf<M>>>
	: (request: Requests<M>, context: CallContext) => Partial<ResponseOf<M>> | Promise<Partial<ResponseOf<M>>>;

/** A handler for each method that is served; calls of the others are UNIMPLEMENTED. */
export type TypedHandlers<D extends ServiceDefinition> = {readonly [K in keyof D['methods']]?: TypedHandler<D['methods'][K]>};

/** What can be sent where many are: anything that is iterated over. */
type Outgoing<M> = M extends {readonly requestStream: true}
	? AsyncIterable<Partial<RequestOf<M>>> | Iterable<Partial<RequestOf<M>>>
	: Partial<RequestOf<M>>;

/** A function for each method. Where responses stream it gives an iterable; leave the loop to end the call. */
export type TypedClient<D extends ServiceDefinition> = {
	readonly [K in keyof D['methods']]: (request: Outgoing<D['methods'][K]>, options?: CallOptions) => D['methods'][K] extends {readonly responseStream: true}
		? AsyncIterable<ResponseOf<D['methods'][K]>>
		: Promise<ResponseOf<D['methods'][K]>>;
};

/** Makes a service of a generated definition. A request that cannot be decoded is answered with INVALID_ARGUMENT. */
export function ttrpcService<D extends ServiceDefinition>(definition: D, handlers: TypedHandlers<D>): TtrpcService {
	const methods: Record<string, UnaryMethod | StreamMethod> = {};
	for (const [key, method] of Object.entries(definition.methods)) {
		const handler = (handlers as Readonly<Record<string, AnyHandler | undefined>>)[key];
		if (handler !== undefined) {
			methods[method.name] = method.requestStream || method.responseStream ? toStream(method, handler) : toUnary(method, handler);
		}
	}
	return {name: definition.fullName, methods};
}

/** Makes a client of a generated definition. */
export function ttrpcClientFor<D extends ServiceDefinition>(definition: D, client: TtrpcClient): TypedClient<D> {
	const functions: Record<string, unknown> = {};
	for (const [key, method] of Object.entries(definition.methods)) {
		functions[key] = toCall(definition.fullName, method, client);
	}
	return functions as TypedClient<D>;
}

type AnyHandler = (request: unknown, context: CallContext) => unknown;

function toUnary({requestType, responseType}: MethodDefinition, handler: AnyHandler): UnaryMethod {
	return {
		handle: async (payload, context) => encode(responseType, await handler(decode(requestType, payload), context)),
	};
}

function toStream({requestType, requestStream, responseType, responseStream}: MethodDefinition, handler: AnyHandler): StreamMethod {
	return {
		requestStream,
		responseStream,
		async* stream(payloads, context) {
			const requests = decodeAll(requestType, payloads);
			const request: unknown = requestStream ? requests : (await requests.next()).value;
			const answer = handler(request, context);
			if (!responseStream) {
				yield encode(responseType, await answer);
				return;
			}
			for await (const response of answer as AsyncIterable<unknown>) {
				yield encode(responseType, response);
			}
		},
	};
}

function toCall(service: string, method: MethodDefinition, client: TtrpcClient): unknown {
	const {name, requestType, requestStream, responseType, responseStream} = method;
	if (!requestStream && !responseStream) {
		return async (request: unknown, options: CallOptions = {}) =>
			decode(responseType, await client.unary({...options, service, method: name, payload: encode(requestType, request)}), 'INTERNAL');
	}
	async function* call(request: unknown, options: CallOptions = {}): AsyncGenerator {
		const first = requestStream ? {} : {payload: encode(requestType, request)};
		const stream = await client.stream({...options, service, method: name, ...first, sends: requestStream});
		if (requestStream) {
			// Also when it is the caller's own iterable that failed.
			pump(request as AsyncIterable<unknown>, requestType, stream).catch((error: unknown) => stream.cancel(KeelsonError.from(error)));
		}
		yield* decodeAll(responseType, stream);
	}
	return responseStream ? call : async (request: unknown, options?: CallOptions) => {
		for await (const response of call(request, options)) {
			return response;
		}
		throw new KeelsonError('INTERNAL', `ttrpc: ${service}/${name}: the stream ended without a response`);
	};
}

async function pump(requests: AsyncIterable<unknown>, codec: MessageCodec<unknown>, stream: ClientStream): Promise<void> {
	for await (const request of requests) {
		await stream.send(encode(codec, request));
	}
	await stream.end();
}

async function* decodeAll(codec: MessageCodec<unknown>, payloads: AsyncIterable<Uint8Array>): AsyncGenerator {
	for await (const payload of payloads) {
		yield decode(codec, payload);
	}
}

function encode(codec: MessageCodec<unknown>, message: unknown): Uint8Array {
	return codec.encode(codec.fromPartial === undefined ? message : codec.fromPartial(message as object)).finish();
}

function decode(codec: MessageCodec<unknown>, payload: Uint8Array, code: 'INVALID_ARGUMENT' | 'INTERNAL' = 'INVALID_ARGUMENT'): unknown {
	try {
		return codec.decode(payload);
	} catch (error) {
		throw new KeelsonError(code, `ttrpc: ${payload.length} bytes are not the message that was expected`, {cause: error});
	}
}
