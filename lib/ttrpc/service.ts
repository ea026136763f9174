import type {CallContext} from './call.ts';

/** Takes one message and answers with one. */
export interface UnaryMethod {
	readonly handle: (payload: Uint8Array, context: CallContext) => Uint8Array | Promise<Uint8Array>;
}

/**
 * Takes messages and answers with messages; where one side does not stream, that side has exactly one. The requests must be read on:
 * those of a handler that is 5 seconds late fail.
 */
export interface StreamMethod {
	readonly requestStream: boolean;
	readonly responseStream: boolean;
	readonly stream: (requests: AsyncIterable<Uint8Array>, context: CallContext) => AsyncIterable<Uint8Array>;
}

/** What a server offers under one name; messages are bytes here, see typed-service.ts for typed ones. */
export interface TtrpcService {
	/** With its package: `containerd.task.v3.Task`. */
	readonly name: string;
	readonly methods: Readonly<Record<string, UnaryMethod | StreamMethod>>;
}
