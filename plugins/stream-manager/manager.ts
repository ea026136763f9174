import {setTimeout as delay} from 'node:timers/promises';
import type {CollectibleItem, CollectibleResource} from '../../contracts/metadata/collectible.ts';
import type {Stream, StreamManager} from '../../contracts/stream/stream.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {StreamPair} from './stream-pair.ts';

/** A client may name a stream in a request that overtakes the stream's own first message. */
const GET_WAIT_MS = 5000;
const GET_POLL_MS = 20;
const ID_LENGTH_MAX = 256;
/** The other way round, a client may have sent all and closed its side before its request is looked at. */
const ENDED_WAIT_MS = 5000;
const ENDED_MAX = 64;

interface Leased {
	readonly namespace: string;
	readonly id: string;
	readonly lease: string;
	readonly pair: StreamPair;
}

/** Streams by namespace and id, in memory: they end with their connection, or after the lease that they were opened under. */
export class LocalStreamManager implements StreamManager, CollectibleResource, AsyncDisposable {
	readonly kind = 'stream';
	readonly #pairs = new Map<string, StreamPair>();
	/** Of those, what was opened under a lease: nothing but the connection holds the others. */
	readonly #leased = new Map<string, Leased>();
	readonly #condemned = new Set<StreamPair>();
	/** Ended, and nobody has asked for the other end yet; oldest first. */
	readonly #ended = new Map<string, {readonly pair: StreamPair; readonly timer: NodeJS.Timeout}>();

	async create(namespace: string, id: string, {lease}: {readonly lease?: string | undefined} = {}): Promise<Stream> {
		if (id === '' || id.length > ID_LENGTH_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `a stream id must have 1 to ${ID_LENGTH_MAX} characters, this one has ${id.length}`);
		}
		const key = `${namespace}/${id}`;
		if (this.#pairs.has(key)) {
			throw new KeelsonError('ALREADY_EXISTS', `stream ${JSON.stringify(id)}: already exists`);
		}
		this.#takeEnded(key);
		const pair = new StreamPair(id, () => {
			// Ended twice, the name may be another's by now.
			if (this.#pairs.get(key) === pair) {
				this.#pairs.delete(key);
				this.#leased.delete(key);
				if (!pair.isTaken && !this.#condemned.delete(pair)) {
					this.#keepEnded(key, pair);
				}
			}
		});
		this.#pairs.set(key, pair);
		if (lease !== undefined) {
			this.#leased.set(key, {namespace, id, lease, pair});
		}
		return pair.outer;
	}

	list(): readonly CollectibleItem[] {
		return [...this.#leased].map(([key, {namespace, id, lease, pair}]) => ({
			namespace, id, lease, labels: {},
			condemn: () => {
				if (this.#pairs.get(key) === pair) {
					this.#condemned.add(pair);
				}
			},
		}));
	}

	/** Ends both ways; the connection then ends by itself. */
	async sweep(): Promise<void> {
		for (const pair of this.#condemned) {
			await pair.outer[Symbol.asyncDispose]();
		}
		this.#condemned.clear();
	}

	async get(namespace: string, id: string, signal?: AbortSignal): Promise<Stream> {
		for (let waitedMs = 0; ; waitedMs += GET_POLL_MS) {
			const key = `${namespace}/${id}`;
			const pair = this.#pairs.get(key) ?? this.#takeEnded(key);
			if (pair !== undefined && !this.#condemned.has(pair)) {
				return pair.take();
			}
			if (waitedMs >= GET_WAIT_MS) {
				throw new KeelsonError('NOT_FOUND', `stream ${JSON.stringify(id.slice(0, ID_LENGTH_MAX))}: not found`);
			}
			await delay(GET_POLL_MS, undefined, signal === undefined ? {} : {signal});
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const pair of this.#pairs.values()) {
			await pair.outer[Symbol.asyncDispose]();
		}
		[...this.#ended.keys()].forEach(key => this.#takeEnded(key));
	}

	#keepEnded(key: string, pair: StreamPair): void {
		const [oldest] = this.#ended.keys();
		if (oldest !== undefined && this.#ended.size >= ENDED_MAX) {
			this.#takeEnded(oldest);
		}
		this.#ended.set(key, {pair, timer: setTimeout(() => this.#takeEnded(key), ENDED_WAIT_MS).unref()});
	}

	#takeEnded(key: string): StreamPair | undefined {
		const ended = this.#ended.get(key);
		clearTimeout(ended?.timer);
		this.#ended.delete(key);
		return ended?.pair;
	}
}
