import {descriptorMessage} from '../../api/convert/descriptor.ts';
import {Progress} from '../../api/gen/types/transfer/progress.ts';
import type {Stream} from '../../contracts/stream/stream.ts';
import type {TransferProgress} from '../../contracts/transfer/transfer.ts';

/** Beyond it the oldest news are dropped: a client that does not read must not fill our memory. */
const PENDING_MAX = 1024;
const FLUSH_MS = 2000;

/** Tells a client how a transfer goes, as fast as it reads: of two reports of one thing that wait, the later counts. */
export class ProgressSender implements AsyncDisposable {
	readonly #stream: Stream;
	readonly #signal: AbortSignal;
	readonly #pending = new Map<string, TransferProgress>();
	#sending: Promise<void> | undefined;
	#hasFailed = false;

	constructor(stream: Stream, signal: AbortSignal) {
		this.#stream = stream;
		this.#signal = signal;
	}

	/** Never waits, never throws. */
	tell(progress: TransferProgress): void {
		if (this.#hasFailed) {
			return;
		}
		this.#pending.set(`${progress.event}\0${progress.name}`, progress);
		if (this.#pending.size > PENDING_MAX) {
			const [oldest = ''] = this.#pending.keys();
			this.#pending.delete(oldest);
		}
		this.#sending ??= this.#send();
	}

	/** Sends what waits, for a moment, so that the last word arrives before the call ends. */
	async [Symbol.asyncDispose](): Promise<void> {
		const {promise, resolve} = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, FLUSH_MS);
		await Promise.race([this.#sending, promise]);
		clearTimeout(timer);
		this.#hasFailed = true;
		this.#pending.clear();
	}

	async #send(): Promise<void> {
		try {
			for (let [next] = this.#pending; next !== undefined; [next] = this.#pending) {
				this.#pending.delete(next[0]);
				await this.#stream.send({typeUrl: 'containerd.types.transfer.Progress', value: encode(next[1])}, this.#signal);
			}
		} catch {
			// A client that looks away loses sight of its transfer, and nothing else.
			this.#hasFailed = true;
			this.#pending.clear();
		} finally {
			this.#sending = undefined;
		}
	}
}

function encode({event, name, parents, progress, total, descriptor}: TransferProgress): Uint8Array {
	return Progress.encode({
		event, name, parents, progress: BigInt(Math.trunc(progress)), total: BigInt(Math.trunc(total)),
		desc: descriptor === undefined ? undefined : descriptorMessage(descriptor),
	}).finish();
}
