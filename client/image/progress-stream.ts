import {randomUUID} from 'node:crypto';
import type {Any} from '../../api/gen/google/protobuf/any.ts';
import {StreamInit} from '../../api/gen/services/streaming/v1/streaming.ts';
import {Progress} from '../../api/gen/types/transfer/progress.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';

/** How far one part of a transfer is; `event` is the daemon's word. */
export interface TransferProgress {
	/** `downloading`, `extracting`, `complete`, `already exists`, ...; for the whole (an empty name) a sentence. */
	readonly event: string;
	/** `layer-sha256:...`, `manifest-sha256:...`; an image's name; empty for the whole. */
	readonly name: string;
	readonly parents: readonly string[];
	/** Bytes so far. */
	readonly progress: number;
	/** Bytes in all; 0 where nobody knows. */
	readonly total: number;
	readonly digest: string | undefined;
}

// What was said before the transfer ended may still be on its way.
const LAST_WORDS_MS = 2000;

/** A stream on which the daemon tells of a transfer; its id goes into the request. */
export class ProgressStream implements AsyncDisposable {
	readonly id: string;
	readonly #stop = new AbortController();
	readonly #heard: Promise<void>;

	private constructor(id: string, messages: AsyncGenerator<Any, void, undefined>, stop: AbortController, onProgress: (progress: TransferProgress) => void) {
		this.id = id;
		this.#stop = stop;
		this.#heard = listen(messages, onProgress);
	}

	/** Resolves when the daemon knows the stream. What `onProgress` throws, disposing rejects with. */
	static async open(services: Pick<Services, 'streaming'>, onProgress: (progress: TransferProgress) => void, {signal, ...call}: CallOptions = {}): Promise<ProgressStream> {
		const id = `progress-${randomUUID()}`;
		const stop = new AbortController();
		const messages = services.streaming.stream(once(id, stop.signal), {...call, signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])});
		// The daemon acknowledges before anything else; until then a request must not name the stream.
		await messages.next();
		return new ProgressStream(id, messages, stop, onProgress);
	}

	/** Resolves when all that the daemon said has been handed on. */
	async [Symbol.asyncDispose](): Promise<void> {
		const timer = setTimeout(() => this.#stop.abort(), LAST_WORDS_MS);
		try {
			await this.#heard;
		} finally {
			clearTimeout(timer);
			this.#stop.abort();
		}
	}
}

// The init message, and then an open stream until the transfer is over: its end would tell the daemon that nobody listens.
async function* once(id: string, over: AbortSignal): AsyncGenerator<{typeUrl: string; value: Uint8Array}, void, undefined> {
	yield {typeUrl: 'containerd.services.streaming.v1.StreamInit', value: StreamInit.encode({id}).finish()};
	const {promise, resolve} = Promise.withResolvers<void>();
	over.addEventListener('abort', () => resolve(), {once: true});
	if (!over.aborted) {
		await promise;
	}
}

async function listen(messages: AsyncGenerator<Any, void, undefined>, onProgress: (progress: TransferProgress) => void): Promise<void> {
	try {
		for await (const {typeUrl, value} of messages) {
			if (typeUrl.endsWith('containerd.types.transfer.Progress')) {
				const {event, name, parents, progress, total, desc} = Progress.decode(value);
				onProgress({event, name, parents, progress: Number(progress), total: Number(total), digest: desc?.digest});
			}
		}
	} catch (error) {
		// The transfer itself says how it ended; a stream that was cut only ends the telling.
		if (!isKeelsonError(error)) {
			throw error;
		}
	}
}
