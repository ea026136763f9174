/**
 * gRPC services, told without gRPC: a service is its full name, codecs and handlers, and whoever listens (grpc-server, over gRPC or
 * ttrpc) asks the kernel for all of them. A handler throws KeelsonError; the server makes a status of it, once, at the wire.
 */

import {contract} from '../../kernel/contract.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {parseIdentifier} from '../oci/identifier.ts';

/** What a generated message has. */
export interface Codec<T> {
	encode(message: T): {finish(): Uint8Array};
	decode(bytes: Uint8Array): T;
	/** The same of a message that was received in several parts, for those that are too large to be put together first. */
	decodeParts?(parts: readonly Uint8Array[]): T;
}

/** What a handler knows of its call. */
export interface CallContext {
	/** Lower-case names; the first value of a name counts. */
	readonly headers: ReadonlyMap<string, string>;
	/** Aborts when the client goes away, the deadline passes or the daemon stops. */
	readonly signal: AbortSignal;
}

export type MethodHandler =
	| {readonly kind: 'unary'; readonly handle: (request: never, context: CallContext) => Promise<unknown>}
	| {readonly kind: 'server-stream'; readonly handle: (request: never, context: CallContext) => AsyncIterable<unknown>}
	| {readonly kind: 'client-stream'; readonly handle: (requests: AsyncIterable<never>, context: CallContext) => Promise<unknown>}
	| {readonly kind: 'bidi'; readonly handle: (requests: AsyncIterable<never>, context: CallContext) => AsyncIterable<unknown>};

export type Method = MethodHandler & {readonly name: string; readonly request: Codec<never>; readonly response: Codec<unknown>};

export interface GrpcService {
	/** `containerd.services.content.v1.Content` */
	readonly name: string;
	readonly methods: readonly Method[];
	/** Also served to shims over ttrpc. */
	readonly ttrpc?: boolean;
	/** Unary methods that wait for something to happen: like streams, they are cut at once when the daemon stops. */
	readonly waits?: readonly string[];
}

export const GrpcService = contract('io.containerd.grpc.v1').for<GrpcService>();

/** The shape of a generated service definition. */
export interface ServiceDefinition {
	readonly fullName: string;
	readonly methods: Readonly<Record<string, MethodDefinition>>;
}

interface MethodDefinition {
	readonly name: string;
	readonly requestType: unknown;
	readonly requestStream: boolean;
	readonly responseType: unknown;
	readonly responseStream: boolean;
}

type MessageOf<C> = C extends {decode(...parameters: never[]): infer T} ? T : never;

type HandlerOf<M extends MethodDefinition> = M['requestStream'] extends true
	? M['responseStream'] extends true
		? (requests: AsyncIterable<MessageOf<M['requestType']>>, context: CallContext) => AsyncIterable<MessageOf<M['responseType']>>
		: (requests: AsyncIterable<MessageOf<M['requestType']>>, context: CallContext) => Promise<MessageOf<M['responseType']>>
	: M['responseStream'] extends true
		? (request: MessageOf<M['requestType']>, context: CallContext) => AsyncIterable<MessageOf<M['responseType']>>
		: (request: MessageOf<M['requestType']>, context: CallContext) => Promise<MessageOf<M['responseType']>>;

/** A handler for each method of a definition; one that is left out answers UNIMPLEMENTED. */
export type HandlersOf<D extends ServiceDefinition> = {readonly [Name in keyof D['methods']]?: HandlerOf<D['methods'][Name]>};

/** Joins a generated definition with handlers whose types follow from it. */
export function grpcService<const D extends ServiceDefinition>(definition: D, handlers: HandlersOf<D>, options: Pick<GrpcService, 'ttrpc' | 'waits'> = {}): GrpcService {
	const methods = Object.entries(definition.methods).flatMap(([key, method]): Method[] => {
		const handle = (handlers as Readonly<Record<string, unknown>>)[key];
		if (handle === undefined) {
			return [];
		}
		// The definition's own types made sure that handle fits; Method forgets them.
		return [{name: method.name, request: method.requestType, response: method.responseType, kind: kindOf(method), handle} as Method];
	});
	return {name: definition.fullName, methods, ...options};
}

/** A method of requests and replies that has a codec of its own for its requests. */
export function bidiMethod<Request, Response>(name: string, {request, response}: {readonly request: Codec<Request>; readonly response: Codec<Response>}, handle: (requests: AsyncIterable<Request>, context: CallContext) => AsyncIterable<Response>): Method {
	// As above.
	return {name, request, response, kind: 'bidi', handle} as unknown as Method;
}

function kindOf({requestStream, responseStream}: MethodDefinition): MethodHandler['kind'] {
	if (requestStream) {
		return responseStream ? 'bidi' : 'client-stream';
	}
	return responseStream ? 'server-stream' : 'unary';
}

/** The namespace that a call is for. Throws FAILED_PRECONDITION when the header is missing, INVALID_ARGUMENT when it is not an identifier. */
export function namespaceOf({headers}: CallContext): string {
	const namespace = headers.get('containerd-namespace') ?? headers.get('containerd-namespace-ttrpc');
	if (namespace === undefined || namespace === '') {
		throw new KeelsonError('FAILED_PRECONDITION', 'namespace is required');
	}
	return parseIdentifier(namespace, 'namespace');
}

/** The lease that a call's results belong to, where the client named one. */
export function leaseOf({headers}: CallContext): string | undefined {
	const lease = headers.get('containerd-lease');
	return lease === '' ? undefined : lease;
}

/** What a Metadata scope is made for: the call's namespace, with its lease. Throws as namespaceOf does. */
export function scopeOf(context: CallContext): {readonly namespace: string; readonly lease?: string} {
	const lease = leaseOf(context);
	return {namespace: namespaceOf(context), ...(lease === undefined ? {} : {lease})};
}
