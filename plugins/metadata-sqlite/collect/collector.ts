import type {CollectibleResource} from '../../../contracts/metadata/collectible.ts';
import type {CollectResult} from '../../../contracts/metadata/metadata.ts';
import type {Logger} from '../../../kernel/log.ts';
import type {ContentDepot} from '../content/content-depot.ts';
import type {Ledger} from '../ledger.ts';
import type {SnapshotDepot} from '../snapshot/snapshot-depot.ts';
import {Pace} from './pace.ts';
import {scan} from './scan.ts';
import {sweepBlobs, sweepIngests} from './sweep-content.ts';
import {sweepRows, type Removed} from './sweep-rows.ts';
import {allBackends, sweepSnapshots} from './sweep-snapshots.ts';

export interface CollectorParts {
	readonly ledger: Ledger;
	readonly content: ContentDepot;
	readonly snapshots: ReadonlyMap<string, SnapshotDepot>;
	readonly log: Logger;
	/** Ends a collection when the daemon stops; what it has not reached is left for the next start. */
	readonly signal: AbortSignal;
	/** How long the event loop may be kept from others. */
	readonly turnMs: number;
}

/** Rows first, in turns that leave room for others; then what the rows stood for. One at a time. */
export class Collector implements AsyncDisposable {
	readonly #parts: CollectorParts;
	readonly #resources = new Set<CollectibleResource>();
	#running: Promise<CollectResult> | undefined;
	#next: Promise<CollectResult> | undefined;
	// The first one looks through the stores themselves, for what a daemon that was killed left behind.
	#mustLookEverywhere = true;

	constructor(parts: CollectorParts) {
		this.#parts = parts;
	}

	/** Collects it too, until disposed. */
	register(resource: CollectibleResource): Disposable {
		this.#resources.add(resource);
		return {[Symbol.dispose]: () => this.#resources.delete(resource)};
	}

	/** Resolves after a collection that began after this call. `signal` ends the wait, not the collection. */
	async collect(signal?: AbortSignal): Promise<CollectResult> {
		signal?.throwIfAborted();
		// Between the end of one and the start of the next, nothing runs and yet the next is promised: two at once would take each other's barrier.
		const isIdle = this.#running === undefined && this.#next === undefined;
		const result = isIdle ? this.#start() : this.#next ??= this.#startAfter(this.#running);
		return signal === undefined ? result : unlessAborted(result, signal);
	}

	/** Resolves when no collection runs. */
	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.allSettled([this.#running, this.#next]);
	}

	async #start(): Promise<CollectResult> {
		const running = this.#run();
		this.#running = running;
		try {
			return await running;
		} finally {
			this.#running = undefined;
		}
	}

	async #startAfter(running: Promise<CollectResult> | undefined): Promise<CollectResult> {
		await Promise.allSettled([running]);
		this.#next = undefined;
		return this.#start();
	}

	async #run(): Promise<CollectResult> {
		const {ledger, log, signal, turnMs} = this.#parts;
		const begun = performance.now();
		ledger.collecting();
		const pace = new Pace(signal, turnMs);
		const {removed, nextExpiry} = await this.#sweepRows(pace);
		// What others take away keeps nobody here from working: it does not count for the rest until the next collection.
		const others = this.#sweepResources();
		let durationMs: number;
		try {
			await this.#sweepStores(removed, pace);
			durationMs = performance.now() - begun;
		} finally {
			await others;
		}
		const counts = {removedContent: removed.contentRows, removedSnapshots: removed.snapshots.length, removedIngests: removed.ingestRows, removedLeases: removed.leases};
		log.debug('garbage collected', {d: `${durationMs.toFixed(1)}ms`, ...counts, database: ledger.database.path});
		return {...counts, durationMs, ...(nextExpiry === undefined ? {} : {nextExpiry: new Date(nextExpiry)})};
	}

	async #sweepRows(pace: Pace): Promise<{removed: Removed; nextExpiry: number | undefined}> {
		const {ledger} = this.#parts;
		using _watch = ledger.barrier.watch();
		const scanned = await scan(ledger.database, [...this.#resources], pace);
		return {removed: await sweepRows(ledger, scanned, pace), nextExpiry: scanned.nextExpiry};
	}

	async #sweepStores({content: digests, snapshots: removedSnapshots, ingests}: Removed, pace: Pace): Promise<void> {
		const {content, snapshots, log, signal} = this.#parts;
		for (const digest of digests) {
			content.suspect(digest);
		}
		for (const {snapshotter, backend} of removedSnapshots) {
			snapshots.get(snapshotter)?.suspect(backend);
		}
		const everywhere = this.#mustLookEverywhere;
		this.#mustLookEverywhere = false;
		try {
			const refs = everywhere ? (await content.bare.statuses()).map(({ref}) => ref) : ingests;
			await sweepIngests(content, refs, pace, log);
			const suspects = content.takeSuspects();
			await sweepBlobs(content, everywhere ? digestsOf(content, signal) : suspects, pace, log);
			await Promise.all([...snapshots.values()].map(async depot => this.#sweepSnapshotter(depot, everywhere, pace)));
		} catch (error) {
			this.#mustLookEverywhere = true;
			throw error;
		}
	}

	// One that fails is asked again after the next collection, and keeps nothing from this one.
	async #sweepResources(): Promise<void> {
		const {log, signal} = this.#parts;
		await Promise.all([...this.#resources].map(async resource => resource.sweep(signal).catch((error: unknown) => {
			if (!signal.aborted) {
				log.error('failed to collect what others keep', {kind: resource.kind, error});
			}
		})));
	}

	// One snapshotter that fails does not keep the others from being swept.
	async #sweepSnapshotter(depot: SnapshotDepot, everywhere: boolean, pace: Pace): Promise<void> {
		const {log, signal} = this.#parts;
		try {
			await depot.recovered();
			const suspects = depot.takeSuspects();
			const backends = everywhere ? await allBackends(depot) : suspects;
			if (backends.length === 0) {
				return;
			}
			await sweepSnapshots(depot, backends, pace, log);
			await depot.bare.cleanup(signal);
		} catch (error) {
			this.#mustLookEverywhere = true;
			signal.throwIfAborted();
			log.error('failed to collect snapshots', {snapshotter: depot.name, error});
		}
	}
}

async function* digestsOf({bare}: ContentDepot, signal: AbortSignal): AsyncIterable<Parameters<ContentDepot['suspect']>[0]> {
	for await (const {digest} of bare.list([], signal)) {
		yield digest;
	}
}

async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
	const {promise, reject} = Promise.withResolvers<never>();
	const onAbort = (): void => {
		reject(signal.reason);
	};
	signal.addEventListener('abort', onAbort, {once: true});
	try {
		return await Promise.race([result, promise]);
	} finally {
		signal.removeEventListener('abort', onAbort);
	}
}
