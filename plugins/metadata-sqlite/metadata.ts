import type {ContentStore} from '../../contracts/content/content.ts';
import type {EventBus} from '../../contracts/event/event.ts';
import type {CollectibleResource} from '../../contracts/metadata/collectible.ts';
import type {ChangeListener, CollectResult, Metadata, NamespaceStore, Scope, ScopeOptions} from '../../contracts/metadata/metadata.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import type {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Logger} from '../../kernel/log.ts';
import type {Database} from '../../lib/sqlite/database.ts';
import {Collector} from './collect/collector.ts';
import {SqliteContainerStore} from './container-store.ts';
import {ContentDepot, type SharingPolicy} from './content/content-depot.ts';
import {ScopedContentStore} from './content/content-scope.ts';
import {SqliteImageStore} from './image-store.ts';
import {SqliteLeaseStore} from './lease-store.ts';
import {Ledger, type Owner} from './ledger.ts';
import {SqliteNamespaceStore} from './namespace-store.ts';
import {SqliteSandboxStore} from './sandbox-store.ts';
import {SnapshotDepot} from './snapshot/snapshot-depot.ts';
import {ScopedSnapshotter} from './snapshot/snapshot-scope.ts';

export interface MetadataParts {
	/** Opened with the migrations of schema.ts; the caller closes it, after the metadata. */
	readonly database: Database;
	readonly content: ContentStore;
	readonly snapshotters: ReadonlyMap<string, Snapshotter>;
	readonly events: EventBus;
	readonly sharing: SharingPolicy;
	readonly log: Logger;
	/** How long a collection may keep the event loop from others, default 5. */
	readonly turnMs?: number;
}

/** Rows in one sqlite file, over bare stores that know nothing of namespaces. */
export class SqliteMetadata implements Metadata, AsyncDisposable {
	readonly namespaces: NamespaceStore;
	readonly snapshotters: readonly string[];
	readonly #ledger: Ledger;
	readonly #content: ContentDepot;
	readonly #snapshots: ReadonlyMap<string, SnapshotDepot>;
	readonly #collector: Collector;
	readonly #closing = new AbortController();

	constructor({database, content, snapshotters, events, sharing, log, turnMs = 5}: MetadataParts) {
		this.#ledger = new Ledger(database, events);
		this.#content = new ContentDepot(this.#ledger, content, sharing);
		this.#snapshots = new Map([...snapshotters].map(([name, bare]) => [name, new SnapshotDepot(name, this.#ledger, bare)]));
		this.#collector = new Collector({ledger: this.#ledger, content: this.#content, snapshots: this.#snapshots, log, turnMs, signal: this.#closing.signal});
		this.namespaces = new SqliteNamespaceStore(this.#ledger);
		this.snapshotters = [...snapshotters.keys()];
	}

	scope({namespace, lease}: ScopeOptions): Scope {
		parseIdentifier(namespace, 'namespace');
		const owner: Owner = {namespace, lease: lease === '' ? undefined : lease};
		const collect = async (): Promise<CollectResult> => this.collect();
		return {
			...owner,
			content: new ScopedContentStore(this.#content, owner),
			snapshotter: name => new ScopedSnapshotter(this.#depotOf(name), owner),
			images: new SqliteImageStore(this.#ledger, owner, collect),
			containers: new SqliteContainerStore(this.#ledger, owner),
			sandboxes: new SqliteSandboxStore(this.#ledger, owner),
			leases: new SqliteLeaseStore(this.#ledger, owner, collect),
		};
	}

	async collect(signal?: AbortSignal): Promise<CollectResult> {
		return this.#collector.collect(signal);
	}

	register(resource: CollectibleResource): Disposable {
		return this.#collector.register(resource);
	}

	watch(listener: ChangeListener): Disposable {
		return this.#ledger.watch(listener);
	}

	/** Ends a collection that runs. Requests must have ended before. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort(new KeelsonError('CANCELLED', 'the metadata store closes'));
		await this.#collector[Symbol.asyncDispose]();
	}

	#depotOf(name: string): SnapshotDepot {
		const depot = this.#snapshots.get(name);
		if (depot === undefined) {
			throw new KeelsonError('INVALID_ARGUMENT', `snapshotter not loaded: ${name}`);
		}
		return depot;
	}
}
