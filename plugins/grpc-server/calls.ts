import {once} from 'node:events';
import type {Metadata, ServerDuplexStream, ServerReadableStream, ServerWritableStream} from '@grpc/grpc-js';
import type {CallContext, Codec} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {orAborted} from './or-aborted.ts';

/** grpc-js wants Buffers, since it copies with their methods. */
export function encode(codec: Codec<unknown>, message: unknown): Buffer {
	const {buffer, byteOffset, byteLength} = codec.encode(message).finish();
	return Buffer.from(buffer, byteOffset, byteLength);
}

/** Throws INVALID_ARGUMENT for bytes that are not such a message. */
export function decode(codec: Codec<never>, bytes: Uint8Array, method: string): never {
	try {
		return codec.decode(bytes);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `a request of ${bytes.byteLength} bytes to ${method} is malformed: ${(error as Error).message}`, {cause: error});
	}
}

/** Text headers; binary ones mean nothing to handlers. */
export function headersOf(metadata: Metadata): ReadonlyMap<string, string> {
	const headers = new Map<string, string>();
	for (const name of Object.keys(metadata.getMap())) {
		const value = metadata.get(name).at(-1);
		if (typeof value === 'string') {
			headers.set(name, value);
		}
	}
	return headers;
}

/** The client's messages, read no faster than they are asked for. Ends with the signal's reason when the call is gone. */
export async function* requestsOf(
	call: ServerReadableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
	codec: Codec<never>,
	method: string,
	signal: AbortSignal,
): AsyncGenerator<never, void, undefined> {
	// Returned, the iterator must not destroy the call: replies and a status are still to be sent on it.
	const messages = call.iterator({destroyOnReturn: false})[Symbol.asyncIterator]();
	for (;;) {
		let next;
		try {
			next = await orAborted(messages.next(), signal);
		} catch (error) {
			throw signal.aborted ? signal.reason : new KeelsonError('CANCELLED', 'the client went away', {cause: error});
		}
		if (next.done === true) {
			return;
		}
		yield decode(codec, next.value, method);
	}
}

/** Sends replies no faster than the client takes them; the iteration is returned, however it ends. */
export async function sendAll(
	call: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
	codec: Codec<unknown>,
	replies: AsyncIterable<unknown>,
	{signal}: Pick<CallContext, 'signal'>,
): Promise<void> {
	const iterator = replies[Symbol.asyncIterator]();
	let isDone = false;
	try {
		for (;;) {
			const next = await orAborted(iterator.next(), signal);
			if (next.done === true) {
				isDone = true;
				return;
			}
			if (!call.write(encode(codec, next.value))) {
				await orAborted(once(call, 'drain', {signal}), signal);
			}
		}
	} finally {
		if (!isDone) {
			// Not awaited: a generator that is waiting inside returns only once that wait is over, and the client is to hear now.
			void iterator.return?.().catch(() => {});
		}
	}
}
