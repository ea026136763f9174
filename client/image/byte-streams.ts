import {randomUUID} from 'node:crypto';
import type {Any} from '../../api/gen/google/protobuf/any.ts';
import {StreamInit} from '../../api/gen/services/streaming/v1/streaming.ts';
import {Data, WindowUpdate} from '../../api/gen/types/transfer/streaming.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';

type Streaming = Pick<Services, 'streaming'>;

const MESSAGE_BYTES_MAX = 256 * 1024;
/**
 * What the daemon may send before it is granted more. So large that it counts for nothing: HTTP/2 sees to it that the daemon sends no faster than we take, and
 * grpc-js drops what is still to be read when something is written to a call that the other side has ended.
 */
const WINDOW_BYTES = 1024 * 1024 * 1024;

/** Bytes on a stream of the daemon's; its id goes into the request of the transfer that takes or gives them. */
export interface ByteStream extends AsyncDisposable {
	readonly id: string;
	/** What the other end of the bytes, here, failed with: nothing that the daemon knows of. */
	readonly own: () => Error | undefined;
	/** Resolves when all bytes are through; rejects with what came between. */
	readonly done: Promise<void>;
}

/** Offers bytes, no faster than the daemon takes them. Resolves when the daemon knows the stream. */
export async function sendStream(services: Streaming, bytes: AsyncIterable<Uint8Array>, {signal, ...call}: CallOptions = {}): Promise<ByteStream> {
	const id = `import-${randomUUID()}`;
	const stop = new AbortController();
	const room = new Room(stop.signal);
	const sent = Promise.withResolvers<void>();
	sent.promise.catch(() => undefined);
	let own: Error | undefined;
	const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
		try {
			yield* bytes;
		} catch (error) {
			own = KeelsonError.from(error);
			throw own;
		}
	};
	const requests = async function* (): AsyncGenerator<Any, void, undefined> {
		yield initOf(id);
		try {
			for await (const chunk of source()) {
				for (let start = 0; start < chunk.length;) {
					const size = await room.take(Math.min(chunk.length - start, MESSAGE_BYTES_MAX));
					yield anyOf('containerd.types.transfer.Data', Data.encode({data: chunk.subarray(start, start + size)}).finish());
					start += size;
				}
			}
			sent.resolve();
		} catch (error) {
			sent.reject(error);
			// Cut, not ended: what came so far must not pass for the whole.
			stop.abort(error);
			throw error;
		}
	};
	const messages = services.streaming.stream(requests(), {...call, signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])});
	await messages.next();
	const heard = (async () => {
		for await (const {typeUrl, value} of messages) {
			if (typeUrl.endsWith('containerd.types.transfer.WindowUpdate')) {
				room.add(WindowUpdate.decode(value).update);
			}
		}
	})().catch(() => undefined).finally(() => {
		// Whoever waits for room waits in vain: the transfer says why.
		stop.abort(new KeelsonError('UNAVAILABLE', 'the daemon took no more of the archive'));
	});
	return {id, done: sent.promise, own: () => own, async [Symbol.asyncDispose]() {
		stop.abort(new KeelsonError('CANCELLED', 'the import is over'));
		await heard;
	}};
}

/** Takes bytes and hands each chunk on before it asks for more. Resolves when the daemon knows the stream. */
export async function receiveStream(services: Streaming, write: (chunk: Uint8Array) => Promise<void>, {signal, ...call}: CallOptions = {}): Promise<ByteStream> {
	const id = `export-${randomUUID()}`;
	const stop = new AbortController();
	const window = new Room(stop.signal);
	window.add(WINDOW_BYTES);
	const requests = async function* (): AsyncGenerator<Any, void, undefined> {
		yield initOf(id);
		try {
			for (;;) {
				yield anyOf('containerd.types.transfer.WindowUpdate', WindowUpdate.encode({update: await window.take(WINDOW_BYTES)}).finish());
			}
		} catch {
			// The end of the stream ends the wait for more to grant, which is no failure.
		}
	};
	const cut = new AbortController();
	const messages = services.streaming.stream(requests(), {...call, signal: signal === undefined ? cut.signal : AbortSignal.any([signal, cut.signal])});
	await messages.next();
	let own: Error | undefined;
	const give = async (chunk: Uint8Array): Promise<void> => {
		try {
			await write(chunk);
		} catch (error) {
			own = KeelsonError.from(error);
			throw own;
		}
	};
	let taken = 0;
	const done = (async () => {
		try {
			for await (const {typeUrl, value} of messages) {
				if (typeUrl.endsWith('containerd.types.transfer.Data')) {
					const {data} = Data.decode(value);
					await give(data);
					taken += data.length;
					if (taken >= WINDOW_BYTES / 2) {
						window.add(taken);
						taken = 0;
					}
				}
			}
		} finally {
			stop.abort(new KeelsonError('CANCELLED', 'the export is over'));
		}
	})();
	done.catch(() => undefined);
	return {id, done, own: () => own, async [Symbol.asyncDispose]() {
		const over = new KeelsonError('CANCELLED', 'the export is over');
		stop.abort(over);
		// There are daemons that do not end it when we do.
		cut.abort(over);
		await done.catch(() => undefined);
	}};
}

/** Bytes that may go, as the other side grants them. */
class Room {
	readonly #signal: AbortSignal;
	#bytes = 0;
	#wake = (): void => undefined;

	constructor(signal: AbortSignal) {
		this.#signal = signal;
		signal.addEventListener('abort', () => this.#wake(), {once: true});
	}

	add(bytes: number): void {
		this.#bytes += bytes;
		this.#wake();
	}

	/** Waits until there is some, and takes at most `most`. Rejects with the signal's reason. */
	async take(most: number): Promise<number> {
		while (this.#bytes <= 0) {
			this.#signal.throwIfAborted();
			const {promise, resolve} = Promise.withResolvers<void>();
			this.#wake = resolve;
			await promise;
		}
		const taken = Math.min(this.#bytes, most);
		this.#bytes -= taken;
		return taken;
	}
}

function initOf(id: string): Any {
	return anyOf('containerd.services.streaming.v1.StreamInit', StreamInit.encode({id}).finish());
}

function anyOf(typeUrl: string, value: Uint8Array): Any {
	return {typeUrl, value};
}
