import {once} from 'node:events';
import {Client as GrpcClient, Metadata, credentials, type CallOptions as GrpcOptions, type ClientWritableStream} from '@grpc/grpc-js';
import {errorOf} from './status-error.ts';

/** What any call may be told. */
export interface CallOptions {
	/** Ends the call; it then rejects with CANCELLED, or with DEADLINE_EXCEEDED for `AbortSignal.timeout`. */
	readonly signal?: AbortSignal;
	/** Another containerd namespace than the connection's. */
	readonly namespace?: string;
	/** What the call creates belongs to this lease until the lease ends. */
	readonly lease?: string;
	/** Further metadata headers, names in lower case. */
	readonly headers?: Readonly<Record<string, string>>;
}

export interface ChannelOptions {
	/** The containerd namespace of all calls that name no other; default `default`. */
	readonly namespace?: string;
	/** Sent with each call. */
	readonly headers?: Readonly<Record<string, string>>;
}

interface Codec<T> {
	encode(message: T): {finish(): Uint8Array};
	decode(bytes: Uint8Array): T;
	fromPartial(partial: object): T;
}

/** One method of a generated service definition. */
export interface MethodOf {
	readonly name: string;
	readonly requestType: Codec<unknown>;
	readonly requestStream: boolean;
	readonly responseType: Codec<unknown>;
	readonly responseStream: boolean;
}

// Reading content is twice as fast with it as with the default of 64 KiB.
const WINDOW_BYTES = 4 * 1024 * 1024;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const RECONNECT_MS_MAX = 2000;

/** A connection to a daemon: made at the first call, made again when it was lost. */
export class Channel implements Disposable {
	readonly namespace: string;
	readonly #client: GrpcClient;
	readonly #headers: Readonly<Record<string, string>>;

	constructor(address: string, {namespace = 'default', headers = {}}: ChannelOptions = {}) {
		this.namespace = namespace;
		this.#headers = headers;
		this.#client = new GrpcClient(targetOf(address), credentials.createInsecure(), {
			'grpc-node.flow_control_window': WINDOW_BYTES,
			'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
			'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
			'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
			// Two clients of one process must not end each other's connection.
			'grpc.use_local_subchannel_pool': 1,
		});
	}

	async unary(service: string, method: MethodOf, request: object, options: CallOptions = {}): Promise<unknown> {
		return this.#cancellable(options.signal, async cancelled => {
			const {promise, resolve, reject} = Promise.withResolvers<unknown>();
			const call = this.#client.makeUnaryRequest(
				`/${service}/${method.name}`, serialize(method.requestType), decodeWith(method.responseType),
				method.requestType.fromPartial(request), this.#metadata(options), NO_OPTIONS,
				(error, response) => error === null ? resolve(response) : reject(error),
			);
			cancelled(() => call.cancel());
			return promise;
		});
	}

	async clientStream(service: string, method: MethodOf, requests: AsyncIterable<object>, options: CallOptions = {}): Promise<unknown> {
		return this.#cancellable(options.signal, async cancelled => {
			const {promise, resolve, reject} = Promise.withResolvers<unknown>();
			const call = this.#client.makeClientStreamRequest(
				`/${service}/${method.name}`, serialize(method.requestType), decodeWith(method.responseType), this.#metadata(options), NO_OPTIONS,
				(error, response) => error === null ? resolve(response) : reject(error),
			);
			cancelled(() => call.cancel());
			send(call, requests, method).catch((error: unknown) => {
				reject(error);
				call.cancel();
			});
			return promise;
		});
	}

	async *serverStream(service: string, method: MethodOf, request: object, options: CallOptions = {}): AsyncGenerator<unknown, void, undefined> {
		throwIfAborted(options.signal);
		const call = this.#client.makeServerStreamRequest(
			`/${service}/${method.name}`, serialize(method.requestType), decodeWith(method.responseType),
			method.requestType.fromPartial(request), this.#metadata(options),
		);
		yield* received(call, options.signal);
	}

	async *bidi(service: string, method: MethodOf, requests: AsyncIterable<object>, options: CallOptions = {}): AsyncGenerator<unknown, void, undefined> {
		throwIfAborted(options.signal);
		const call = this.#client.makeBidiStreamRequest(
			`/${service}/${method.name}`, serialize(method.requestType), decodeWith(method.responseType), this.#metadata(options),
		);
		send(call, requests, method).catch((error: unknown) => call.destroy(error instanceof Error ? error : new Error(String(error))));
		yield* received(call, options.signal);
	}

	[Symbol.dispose](): void {
		this.#client.close();
	}

	async #cancellable<T>(signal: AbortSignal | undefined, begin: (cancelled: (cancel: () => void) => void) => Promise<T>): Promise<T> {
		let cancel = (): void => undefined;
		const onAbort = (): void => cancel();
		try {
			signal?.throwIfAborted();
			signal?.addEventListener('abort', onAbort, {once: true});
			return await begin(how => {
				cancel = how;
			});
		} catch (error) {
			throw errorOf(error, signal);
		} finally {
			signal?.removeEventListener('abort', onAbort);
		}
	}

	#metadata({namespace = this.namespace, lease, headers}: CallOptions): Metadata {
		const metadata = new Metadata();
		const all = {...this.#headers, ...headers, 'containerd-namespace': namespace, ...(lease === undefined ? {} : {'containerd-lease': lease})};
		for (const [name, value] of Object.entries(all)) {
			metadata.set(name, value);
		}
		return metadata;
	}
}

const NO_OPTIONS: GrpcOptions = {};

function throwIfAborted(signal: AbortSignal | undefined): void {
	if (signal?.aborted === true) {
		throw errorOf(signal.reason, signal);
	}
}

function targetOf(address: string): string {
	if (address.startsWith('/')) {
		return `unix:${address}`;
	}
	return address.startsWith('tcp://') ? `dns:///${address.slice('tcp://'.length)}` : address;
}

function serialize(codec: Codec<unknown>): (message: unknown) => Buffer {
	return message => {
		const {buffer, byteOffset, byteLength} = codec.encode(message).finish();
		return Buffer.from(buffer, byteOffset, byteLength);
	};
}

function decodeWith(codec: Codec<unknown>): (bytes: Buffer) => unknown {
	return bytes => codec.decode(bytes);
}

// No faster than the daemon takes them. A call that is over is told of by whoever waits for its answer.
async function send(call: ClientWritableStream<unknown>, requests: AsyncIterable<object>, method: MethodOf): Promise<void> {
	for await (const request of requests) {
		if (call.destroyed) {
			return;
		}
		if (!call.write(method.requestType.fromPartial(request))) {
			await Promise.race([once(call, 'drain'), once(call, 'close')]).catch(() => undefined);
		}
	}
	call.end();
}

async function* received(call: AsyncIterable<unknown> & {cancel(): void; on(event: 'error', listener: () => void): unknown}, signal?: AbortSignal): AsyncGenerator<unknown, void, undefined> {
	const cancel = (): void => call.cancel();
	signal?.addEventListener('abort', cancel, {once: true});
	try {
		yield* call;
	} catch (error) {
		throw errorOf(error, signal);
	} finally {
		signal?.removeEventListener('abort', cancel);
		// What it says of its own end has no listener left.
		call.on('error', () => undefined);
		call.cancel();
	}
}
