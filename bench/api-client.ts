import {Client, credentials, Metadata} from '@grpc/grpc-js';
import type {Contestant} from './contestants.ts';
import {timed} from './measure.ts';

/** A method as ts-proto tells it. */
export interface Method {
	readonly name: string;
}

export interface Call {
	/** Its service's full name. */
	readonly service: string;
	readonly method: Method;
	/** Encoded. */
	readonly request: Uint8Array;
}

/** A daemon's socket, and a namespace there. */
export interface ApiPlace {
	readonly address: string;
	readonly namespace: string;
}

export function placeOf({daemon, ctr}: Contestant): ApiPlace {
	return {address: daemon.places.address, namespace: ctr.namespace};
}

/** More than the largest answer of a daemon. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const RATE_CALLERS = 16;

const same = (bytes: Buffer): Buffer => bytes;

/** Calls whose answers are not decoded: one client for both daemons, whose own cost both pay. */
export class ApiClient implements Disposable {
	readonly #client: Client;
	readonly #metadata = new Metadata();

	constructor({address, namespace}: ApiPlace) {
		this.#client = new Client(`unix:${address}`, credentials.createInsecure(), {
			'grpc.default_authority': 'localhost', 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX, 'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
			// Else two clients of one process share a connection.
			'grpc.use_local_subchannel_pool': 1,
		});
		this.#metadata.set('containerd-namespace', namespace);
	}

	/** The answer's bytes. */
	async unary({service, method, request}: Call): Promise<Buffer> {
		return new Promise((resolve, reject) => {
			this.#client.makeUnaryRequest(`/${service}/${method.name}`, same, same, Buffer.from(request), this.#metadata, (error, answer) => {
				if (error === null) {
					resolve(answer ?? Buffer.alloc(0));
				} else {
					reject(error);
				}
			});
		});
	}

	/** Messages until the stream ends, or the signal is aborted. */
	async stream({service, method, request}: Call, onMessage: (message: Buffer) => void, signal?: AbortSignal): Promise<void> {
		const call = this.#client.makeServerStreamRequest(`/${service}/${method.name}`, same, same, Buffer.from(request), this.#metadata);
		signal?.addEventListener('abort', () => call.cancel(), {once: true});
		call.on('data', onMessage);
		await new Promise<void>((resolve, reject) => {
			call.on('end', resolve);
			call.on('error', error => {
				if (signal?.aborted === true) {
					resolve();
				} else {
					reject(error);
				}
			});
		});
	}

	/** Milliseconds of each of so many calls, one after the other. */
	async latencies(call: Call, count: number): Promise<number[]> {
		const samples: number[] = [];
		for (let at = 0; at < count; at++) {
			samples.push(await timed(async () => this.unary(call)));
		}
		return samples;
	}

	/** Calls a second with sixteen callers. */
	async rate(call: Call, count: number): Promise<number> {
		let left = count;
		const elapsedMs = await timed(async () => Promise.all(Array.from({length: RATE_CALLERS}, async () => {
			while (left-- > 0) {
				await this.unary(call);
			}
		})));
		return count / (elapsedMs / 1000);
	}

	[Symbol.dispose](): void {
		this.#client.close();
	}
}
