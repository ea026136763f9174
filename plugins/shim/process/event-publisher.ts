import {setImmediate, setTimeout as sleep} from 'node:timers/promises';
import {EventsDefinition} from '../../../api/gen/services/ttrpc/events/v1/events.ts';
import type {EventValues} from '../../../contracts/event/event.ts';
import {isKeelsonError} from '../../../kernel/errors.ts';
import {connectTtrpc, type TtrpcClient} from '../../../lib/ttrpc/client.ts';
import {ttrpcClientFor} from '../../../lib/ttrpc/typed-service.ts';
import {failpoint} from '../protocol/failpoint.ts';
import {encodeTaskEvent, topicOf, type TaskEventType} from '../protocol/task-events.ts';
import {toTimestamp} from '../protocol/timestamp.ts';

/** As many as containerd's shims keep. */
const queueMax = 2048;
const connectMs = 5000;
const retryMinMs = 50;
const retryMaxMs = 1000;

/** Of an event: what outlives this process of whether the daemon has it. */
export interface Receipt {
	/** Asked when a send has failed: the daemon may have taken the event all the same. */
	isTold(): boolean;
	/** Called when the daemon has it. */
	told(): void;
}

interface Queued {
	readonly timestamp: {readonly seconds: bigint; readonly nanos: number};
	readonly namespace: string;
	readonly topic: string;
	readonly event: {readonly typeUrl: string; readonly value: Uint8Array};
	readonly receipt: Receipt | undefined;
}

/**
 * Tells the daemon what happens, in order, each until the daemon has answered: over its restarts too. When more wait than are kept
 * the oldest are lost, counted, and said so in the log.
 */
export class EventPublisher implements AsyncDisposable {
	readonly #address: string;
	readonly #namespace: string;
	readonly #log: (message: string) => void;
	readonly #queue: Queued[] = [];
	readonly #closing = new AbortController();
	#client: TtrpcClient | undefined;
	#sending: Promise<void> = Promise.resolve();
	#isSending = false;
	#lost = 0;

	/** @param address of the daemon's ttrpc socket; empty: there is nobody to tell */
	constructor(address: string, namespace: string, log: (message: string) => void) {
		this.#address = address.replace(/^unix:\/\//, '');
		this.#namespace = namespace;
		this.#log = log;
	}

	/** Events that nobody was told. */
	get lost(): number {
		return this.#lost;
	}

	/** Never waits. */
	publish<T extends TaskEventType>(type: T, value: EventValues[T], receipt?: Receipt): void {
		if (this.#address === '' || this.#closing.signal.aborted) {
			return;
		}
		if (this.#queue.length === queueMax) {
			this.#queue.shift();
			this.#lost++;
			this.#log(`the daemon at ${this.#address} takes no events: ${this.#lost} of them are lost`);
		}
		this.#queue.push({timestamp: toTimestamp(new Date()), namespace: this.#namespace, topic: topicOf(type), event: encodeTaskEvent(type, value), receipt});
		if (!this.#isSending) {
			this.#isSending = true;
			this.#sending = this.#sendAll();
		}
	}

	/** Resolves when all is told, or after `milliseconds`. */
	async flush(milliseconds: number): Promise<void> {
		await Promise.race([this.#sending, sleep(milliseconds, undefined, {ref: false})]);
	}

	/** What was not told by now is lost. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		await this.#client?.[Symbol.asyncDispose]();
		await this.#sending;
	}

	async #sendAll(): Promise<void> {
		// The call in which it happened is answered first: its caller waits.
		await setImmediate();
		let retryMs = retryMinMs;
		while (this.#queue.length > 0 && !this.#closing.signal.aborted) {
			const [first] = this.#queue as [Queued, ...Queued[]];
			try {
				await this.#send(first);
				failpoint('shim.event.sent');
				first.receipt?.told();
				retryMs = retryMinMs;
			} catch (error) {
				// An answer that is an error is one all the same: the daemon has this event and does not want it.
				if (isKeelsonError(error) && !['UNAVAILABLE', 'NOT_FOUND', 'CANCELLED', 'UNIMPLEMENTED'].includes(error.code)) {
					this.#log(`event ${first.topic} was refused: ${error.message}`);
				} else {
					await sleep(retryMs, undefined, {signal: this.#closing.signal}).catch(() => undefined);
					retryMs = Math.min(retryMs * 2, retryMaxMs);
					// A daemon that died before it could answer may have passed it on.
					if (first.receipt?.isTold() !== true) {
						continue;
					}
				}
			}
			// It may have fallen out at the other end meanwhile.
			if (this.#queue[0] === first) {
				this.#queue.shift();
			}
		}
		this.#isSending = false;
	}

	async #send({timestamp, namespace, topic, event}: Queued): Promise<void> {
		if (this.#client === undefined || this.#client.isClosed) {
			this.#client = await connectTtrpc(this.#address, {signal: AbortSignal.timeout(connectMs)});
		}
		await ttrpcClientFor(EventsDefinition, this.#client).forward({envelope: {timestamp, namespace, topic, event}}, {signal: this.#closing.signal});
	}
}
