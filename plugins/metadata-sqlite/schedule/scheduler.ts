import type {GarbageCollector} from '../../../contracts/metadata/garbage-collector.ts';
import type {CollectResult, Metadata} from '../../../contracts/metadata/metadata.ts';
import type {Logger} from '../../../kernel/log.ts';
import {parseDuration} from '../../../lib/duration/duration.ts';
import {CollectionCounts} from './collection-counts.ts';
import type {SchedulerConfig} from './scheduler-config.ts';

/** The least rest between two collections, so that a burst of deletions is collected once. */
const REST_MS_MIN = 100;
/** The longest wait for an expiry: setTimeout takes no more than 24.8 days, and clocks are set back. */
const WAIT_MS_MAX = 60 * 60 * 1000;
/** Times in labels are whole seconds. */
const EXPIRY_SLACK_MS = 1000;
/** After a collection that failed. */
const RETRY_MS = 10_000;

/** Collects after the start, after deletions, and when something expires; never twice at once, and never all the time. */
export class CollectionScheduler implements GarbageCollector, AsyncDisposable {
	readonly counts = new CollectionCounts();
	readonly #metadata: Metadata;
	readonly #config: SchedulerConfig;
	readonly #log: Logger;
	readonly #watch: Disposable;
	readonly #closing = new AbortController();
	#timer: NodeJS.Timeout | undefined;
	#dueAt = Number.POSITIVE_INFINITY;
	#running: Promise<void> | undefined;
	#restUntil = 0;
	#deletions = 0;
	#mutations = 0;
	#last: CollectResult | undefined;

	constructor(metadata: Metadata, config: SchedulerConfig, log: Logger) {
		this.#metadata = metadata;
		this.#config = config;
		this.#log = log;
		this.#watch = metadata.watch(({hasDeleted, hasCollected = false}) => {
			if (hasCollected) {
				this.#forget();
			} else {
				this.#count(hasDeleted);
			}
		});
		this.#dueIn(parseDuration(config.startup_delay) ?? 0);
	}

	get last(): CollectResult | undefined {
		return this.#last;
	}

	/** Resolves once no collection of ours runs. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#watch[Symbol.dispose]();
		clearTimeout(this.#timer);
		this.#closing.abort();
		await this.#running;
	}

	#count(hasDeleted: boolean): void {
		const {deletion_threshold: deletionThreshold, mutation_threshold: mutationThreshold} = this.#config;
		this.#mutations += 1;
		this.#deletions += hasDeleted ? 1 : 0;
		// Without a deletion nothing has become unreachable.
		if (this.#deletions === 0) {
			return;
		}
		const isDue = (deletionThreshold > 0 && this.#deletions >= deletionThreshold) || (mutationThreshold > 0 && this.#mutations >= mutationThreshold);
		const delay = parseDuration(this.#config.schedule_delay) ?? 0;
		this.#dueIn(isDue ? delay : Math.max(delay, this.#restUntil - Date.now(), REST_MS_MIN));
	}

	// Whoever asked for this collection, it does what was due; only what expires is left to wait for.
	#forget(): void {
		this.#deletions = 0;
		this.#mutations = 0;
		clearTimeout(this.#timer);
		this.#dueAt = Number.POSITIVE_INFINITY;
		this.#awaitExpiry();
	}

	#awaitExpiry(): void {
		const expiry = this.#last?.nextExpiry;
		if (expiry !== undefined) {
			this.#dueIn(Math.max(expiry.getTime() - Date.now() + EXPIRY_SLACK_MS, REST_MS_MIN));
		}
	}

	// The earliest of all reasons counts.
	#dueIn(delayMs: number): void {
		const at = Date.now() + delayMs;
		if (at >= this.#dueAt || this.#closing.signal.aborted) {
			return;
		}
		clearTimeout(this.#timer);
		this.#dueAt = at;
		this.#timer = setTimeout(() => {
			this.#dueAt = Number.POSITIVE_INFINITY;
			this.#running = this.#collect();
		}, Math.min(Math.max(delayMs, 0), WAIT_MS_MAX)).unref();
	}

	async #collect(): Promise<void> {
		try {
			const result = await this.#metadata.collect(this.#closing.signal);
			this.#last = result;
			const {durationMs} = result;
			this.counts.succeeded(durationMs);
			const {pause_threshold: share} = this.#config;
			this.#restUntil = Date.now() + (share > 0 ? durationMs / share - durationMs : 0);
			this.#awaitExpiry();
		} catch (error) {
			if (!this.#closing.signal.aborted) {
				this.counts.failed();
				this.#log.error('garbage collection failed', {error});
				this.#dueIn(RETRY_MS);
			}
		}
	}
}
