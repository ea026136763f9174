import {Client, Metadata, credentials} from '@grpc/grpc-js';
import {DuplexCall} from './duplex-call.ts';
import {fromStatus} from './from-status.ts';

/** A generated method: its codecs make the types. */
export interface MethodOf<Request, Response> {
	readonly name: string;
	readonly requestType: Codec<Request>;
	readonly responseType: Codec<Response>;
}

interface Codec<T> {
	encode(message: T): {finish(): Uint8Array};
	decode(bytes: Uint8Array): T;
	fromPartial(object: object): T;
}

// Reading is twice as fast with it as with the default of 64 KiB.
const WINDOW_BYTES = 4 * 1024 * 1024;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const RECONNECT_MS_MAX = 2000;

export interface ConnectionOptions {
	/** Path of a unix socket, or `unix:///path`, or `dns:///host:port`. */
	readonly address: string;
	/** Sent with each call. */
	readonly headers?: Readonly<Record<string, string>>;
	/** Bytes of a request message; default 16 MiB. */
	readonly sendMax?: number;
}

/** A connection to a process that answers for a contract; made when first used, made again when lost. */
export class Connection implements Disposable {
	readonly #client: Client;
	readonly #headers: Readonly<Record<string, string>>;

	constructor({address, headers = {}, sendMax = MESSAGE_BYTES_MAX}: ConnectionOptions) {
		this.#client = new Client(address.startsWith('/') ? `unix://${address}` : address, credentials.createInsecure(), {
			'grpc-node.flow_control_window': WINDOW_BYTES,
			'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
			'grpc.max_send_message_length': sendMax,
			'grpc.max_reconnect_backoff_ms': RECONNECT_MS_MAX,
			// Two proxies of one process must not end each other's connection.
			'grpc.use_local_subchannel_pool': 1,
		});
		this.#headers = headers;
	}

	/** Fields that are left out have their defaults; `namespace` goes before that of the headers. Rejects with the peer's code, UNAVAILABLE when nobody is there. */
	async unary<Request, Response>(
		service: string, method: MethodOf<Request, Response>, request: Partial<Request>, signal?: AbortSignal, namespace?: string,
	): Promise<Response> {
		signal?.throwIfAborted();
		const {promise, resolve, reject} = Promise.withResolvers<Response>();
		const call = this.#client.makeUnaryRequest(
			`/${service}/${method.name}`, serialize(method.requestType), bytes => method.responseType.decode(bytes),
			method.requestType.fromPartial(request), this.#metadata(namespace), {},
			(error, response) => error === null && response !== undefined ? resolve(response) : reject(error),
		);
		const cancel = (): void => call.cancel();
		signal?.addEventListener('abort', cancel, {once: true});
		try {
			return await promise;
		} catch (error) {
			throw fromStatus(error, signal);
		} finally {
			signal?.removeEventListener('abort', cancel);
		}
	}

	/** Responses, no faster than they are taken; an iteration that is left cancels the call. */
	async *stream<Request, Response>(
		service: string, method: MethodOf<Request, Response>, request: Partial<Request>, signal?: AbortSignal,
	): AsyncGenerator<Response, void, undefined> {
		signal?.throwIfAborted();
		const call = this.#client.makeServerStreamRequest(
			`/${service}/${method.name}`, serialize(method.requestType), bytes => method.responseType.decode(bytes),
			method.requestType.fromPartial(request), this.#metadata(),
		);
		const cancel = (): void => call.cancel();
		signal?.addEventListener('abort', cancel, {once: true});
		try {
			yield* call as AsyncIterable<Response>;
		} catch (error) {
			throw fromStatus(error, signal);
		} finally {
			signal?.removeEventListener('abort', cancel);
			call.on('error', () => {});
			call.cancel();
		}
	}

	/** Opens a call on which both sides send. */
	duplex<Request, Response>(service: string, method: MethodOf<Request, Response>, signal?: AbortSignal): DuplexCall<Request, Response> {
		signal?.throwIfAborted();
		return new DuplexCall(this.#client.makeBidiStreamRequest(
			`/${service}/${method.name}`, serialize(method.requestType), bytes => method.responseType.decode(bytes), this.#metadata(),
		), partial => method.requestType.fromPartial(partial), signal);
	}

	[Symbol.dispose](): void {
		this.#client.close();
	}

	#metadata(namespace?: string): Metadata {
		const metadata = new Metadata();
		for (const [name, value] of Object.entries(this.#headers)) {
			metadata.set(name, value);
		}
		if (namespace !== undefined) {
			metadata.set('containerd-namespace', namespace);
		}
		return metadata;
	}
}

function serialize<T>(codec: Codec<T>): (message: T) => Buffer {
	return message => {
		const {buffer, byteOffset, byteLength} = codec.encode(message).finish();
		return Buffer.from(buffer, byteOffset, byteLength);
	};
}
