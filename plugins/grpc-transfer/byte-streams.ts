import {Data, WindowUpdate} from '../../api/gen/types/transfer/streaming.ts';
import type {Any} from '../../contracts/oci/any.ts';
import type {Stream} from '../../contracts/stream/stream.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';

const DATA = 'containerd.types.transfer.Data';
const WINDOW_UPDATE = 'containerd.types.transfer.WindowUpdate';

/** How many bytes the client may send ahead. */
const WINDOW_BYTES = 1024 * 1024;
const MESSAGE_BYTES_MAX = 256 * 1024;

/** A client that gives room for no more than this at first gives more as it takes what came; one that gives all at once says nothing by it. */
const TELLING_WINDOW_BYTES_MAX = 16 * 1024 * 1024;
const TAKEN_WAIT_MS = 2000;

/** The bytes that a client sends on a stream, until it closes its side. Rejects with INVALID_ARGUMENT for any message but Data. */
export async function* receiveBytes(stream: Stream, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
	let window = 0;
	for (;;) {
		if (window < WINDOW_BYTES) {
			await grant(stream, WINDOW_BYTES, signal);
			window += WINDOW_BYTES;
		}
		const message = await stream.receive(signal);
		if (message === undefined) {
			return;
		}
		const {data} = decode(message, DATA, Data);
		window -= data.byteLength;
		if (data.byteLength > 0) {
			yield data;
		}
	}
}

/** A client that has closed its side needs no window, and what it sent is still to be read. */
async function grant(stream: Stream, bytes: number, signal: AbortSignal): Promise<void> {
	try {
		await stream.send({typeUrl: WINDOW_UPDATE, value: WindowUpdate.encode({update: bytes}).finish()}, signal);
	} catch (error) {
		if (!isKeelsonError(error, 'UNAVAILABLE')) {
			throw error;
		}
	}
}

/** Sends bytes on a stream, as many as the client has given room for. */
export class ByteSender implements AsyncDisposable {
	readonly #stream: Stream;
	readonly #signal: AbortSignal;
	#window = 0;
	#firstGrant: number | undefined;
	#isBroken = false;

	constructor(stream: Stream, signal: AbortSignal) {
		this.#stream = stream;
		this.#signal = signal;
	}

	/** Resolves when all of it is on its way. Rejects with UNAVAILABLE when the client has closed the stream. */
	async write(chunk: Uint8Array): Promise<void> {
		try {
			await this.#write(chunk);
		} catch (error) {
			this.#isBroken = true;
			throw error;
		}
	}

	/**
	 * Waits, for a short while, until the client has taken what was sent: `ctr` 2.1 ends when the transfer is answered, and what it has not written by then is
	 * missing in its file. It gives room for as much as at first again before it waits for more.
	 */
	async [Symbol.asyncDispose](): Promise<void> {
		const first = this.#firstGrant;
		if (first === undefined || first > TELLING_WINDOW_BYTES_MAX || this.#isBroken) {
			return;
		}
		const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(TAKEN_WAIT_MS)]);
		try {
			while (this.#window < first) {
				this.#window += await this.#nextUpdate(signal);
			}
		} catch {
			// It is gone, or in no hurry.
		}
	}

	async #write(chunk: Uint8Array): Promise<void> {
		for (let start = 0; start < chunk.byteLength;) {
			while (this.#window <= 0) {
				this.#window += await this.#nextUpdate(this.#signal);
			}
			const data = chunk.subarray(start, start + Math.min(this.#window, MESSAGE_BYTES_MAX));
			await this.#stream.send({typeUrl: DATA, value: Data.encode({data}).finish()}, this.#signal);
			start += data.byteLength;
			this.#window -= data.byteLength;
		}
	}

	async #nextUpdate(signal: AbortSignal): Promise<number> {
		const message = await this.#stream.receive(signal);
		if (message === undefined) {
			throw new KeelsonError('UNAVAILABLE', `the client has closed stream ${JSON.stringify(this.#stream.id)} before all bytes were sent`);
		}
		const {update} = decode(message, WINDOW_UPDATE, WindowUpdate);
		this.#firstGrant ??= update;
		return update;
	}
}

/** Throws INVALID_ARGUMENT for another type, or bytes that are none of it. */
export function decode<T>({typeUrl, value}: Any, expected: string, codec: {decode(bytes: Uint8Array): T}): T {
	if (typeUrl !== expected) {
		throw new KeelsonError('INVALID_ARGUMENT', `message of type ${JSON.stringify(typeUrl.slice(0, 200))}, expected ${expected}`);
	}
	try {
		return codec.decode(value);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `${value.byteLength} bytes are no ${expected}`, {cause: error});
	}
}
