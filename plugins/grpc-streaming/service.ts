import {StreamInit, StreamingDefinition} from '../../api/gen/services/streaming/v1/streaming.ts';
import {grpcService, leaseOf, namespaceOf, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {Any} from '../../contracts/oci/any.ts';
import type {Stream, StreamManager} from '../../contracts/stream/stream.ts';
import {KeelsonError} from '../../kernel/errors.ts';

const INIT = 'containerd.services.streaming.v1.StreamInit';
const ACCEPTED: Any = {typeUrl: 'google.protobuf.Empty', value: new Uint8Array()};

/** The first message names the stream; once that is accepted, messages go both ways until either side ends. */
export function streamingService(streams: StreamManager): GrpcService {
	return grpcService(StreamingDefinition, {
		async *stream(requests, context) {
			const namespace = namespaceOf(context);
			const messages = requests[Symbol.asyncIterator]();
			const first = await messages.next();
			if (first.done === true) {
				return;
			}
			await using stream = await streams.create(namespace, idOf(first.value), {lease: leaseOf(context)});
			yield ACCEPTED;
			const over = new AbortController();
			const signal = AbortSignal.any([context.signal, over.signal]);
			// A client that has closed its side is done: what it has sent stays readable for the other end.
			const uploaded = upload(messages, stream, signal).catch(() => {}).then(() => over.abort());
			try {
				yield* download(stream, signal, over.signal);
			} finally {
				over.abort();
				void uploaded;
			}
		},
	});
}

function idOf({typeUrl, value}: Any): string {
	if (typeUrl !== INIT) {
		throw new KeelsonError('INVALID_ARGUMENT', `the first message of a stream is ${JSON.stringify(typeUrl.slice(0, 200))}, expected ${INIT}`);
	}
	try {
		return StreamInit.decode(value).id;
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `${value.byteLength} bytes are no ${INIT}`, {cause: error});
	}
}

async function upload(messages: AsyncIterator<Any>, stream: Stream, signal: AbortSignal): Promise<void> {
	for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
		await stream.send(next.value, signal);
	}
}

async function* download(stream: Stream, signal: AbortSignal, over: AbortSignal): AsyncGenerator<Any, void, undefined> {
	for (;;) {
		let message;
		try {
			message = await stream.receive(signal);
		} catch (error) {
			if (over.aborted) {
				return;
			}
			throw error;
		}
		if (message === undefined) {
			return;
		}
		yield message;
	}
}
