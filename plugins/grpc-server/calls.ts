import type {CallContext, Codec} from '../../contracts/grpc/grpc.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';
import type {ServerCall} from './server-call.ts';

export function encode(codec: Codec<unknown>, message: unknown): Uint8Array {
	return codec.encode(message).finish();
}

/** Throws INVALID_ARGUMENT for bytes that are not such a message. */
export function decode(codec: Codec<never>, parts: readonly Uint8Array[], method: string): never {
	try {
		const [first = new Uint8Array()] = parts;
		if (parts.length > 1 && codec.decodeParts !== undefined) {
			return codec.decodeParts(parts);
		}
		return codec.decode(parts.length === 1 ? first : Buffer.concat(parts));
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `a request of ${parts.reduce((sum, {byteLength}) => sum + byteLength, 0)} bytes to ${method} is malformed: ${(error as Error).message}`, {cause: error});
	}
}

/** The only message of a call that has one. Rejects with INVALID_ARGUMENT when there is none. */
export async function requestOf(call: ServerCall): Promise<readonly Buffer[]> {
	const message = await call.next();
	if (message === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', 'a call has no message');
	}
	return message;
}

/** The client's messages, read no faster than they are asked for. Ends with the signal's reason when the call is gone. */
export async function* requestsOf(call: ServerCall, codec: Codec<never>, method: string, signal: AbortSignal): AsyncGenerator<never, void, undefined> {
	for (;;) {
		const message = await untilAborted(call.next(), signal);
		if (message === undefined) {
			return;
		}
		yield decode(codec, message, method);
	}
}

/** Sends replies no faster than the client takes them; the iteration is returned, however it ends. */
export async function sendAll(call: ServerCall, codec: Codec<unknown>, replies: AsyncIterable<unknown>, {signal}: Pick<CallContext, 'signal'>): Promise<void> {
	const iterator = replies[Symbol.asyncIterator]();
	let isDone = false;
	try {
		for (;;) {
			const next = await untilAborted(iterator.next(), signal);
			if (next.done === true) {
				isDone = true;
				return;
			}
			await call.send(encode(codec, next.value), signal);
		}
	} finally {
		if (!isDone) {
			// Not awaited: a generator that is waiting inside returns only once that wait is over, and the client is to hear now.
			void iterator.return?.().catch(() => {});
		}
	}
}
