import type {ContentInfo, ContentStore, ContentWriter, WriterOptions} from '../../../contracts/content/content.ts';
import type {Digest} from '../../../contracts/oci/digest.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {decodeLabels} from '../labels.ts';
import type {Ledger} from '../ledger.ts';
import {RemovalGuard} from '../removal-guard.ts';

export type SharingPolicy = 'shared' | 'isolated';

const SHAREABLE = 'containerd.io/namespace.shareable';

/** What all namespaces share of content: the bare store, who is writing, and what may be given to whom. */
export class ContentDepot {
	readonly ledger: Ledger;
	readonly bare: ContentStore;
	readonly guard = new RemovalGuard<Digest>();
	readonly #policy: SharingPolicy;
	readonly #locked = new Set<string>();
	readonly #suspects = new Set<Digest>();

	constructor(ledger: Ledger, bare: ContentStore, policy: SharingPolicy) {
		this.ledger = ledger;
		this.bare = bare;
		this.#policy = policy;
	}

	/** Takes the lock of a ref until disposed. Throws UNAVAILABLE when somebody has it. */
	lock(namespace: string, ref: string): Disposable {
		const key = `${namespace}/${ref}`;
		if (this.#locked.has(key)) {
			throw new KeelsonError('UNAVAILABLE', `ref ${ref} locked: unavailable`);
		}
		this.#locked.add(key);
		return {[Symbol.dispose]: () => this.#locked.delete(key)};
	}

	isLocked(namespace: string, ref: string): boolean {
		return this.#locked.has(`${namespace}/${ref}`);
	}

	/** A blob of the bare store that lost a row: the next collection looks whether any is left. */
	suspect(digest: Digest): void {
		this.#suspects.add(digest);
	}

	/** The suspects so far, which are forgotten. */
	takeSuspects(): readonly Digest[] {
		const suspects = [...this.#suspects];
		this.#suspects.clear();
		return suspects;
	}

	/** The bare blob, when a namespace that asks for its digest may have it without sending its bytes. */
	async shareable(digest: Digest): Promise<ContentInfo | undefined> {
		return this.#policy === 'shared' || this.#isOffered(digest) ? this.bareInfo(digest) : undefined;
	}

	async bareInfo(digest: Digest): Promise<ContentInfo | undefined> {
		try {
			return await this.bare.info(digest);
		} catch (error) {
			if (isKeelsonError(error, 'NOT_FOUND')) {
				return undefined;
			}
			throw error;
		}
	}

	/** Opens a bare ingest. A blob that is there but not shared must be sent again all the same, so the bare store is not told what to expect. */
	async bareWriter({expected, ...options}: WriterOptions): Promise<ContentWriter> {
		const isThere = expected === undefined || await this.bareInfo(expected) !== undefined;
		return this.bare.writer(isThere ? options : {...options, expected});
	}

	// Under the policy `isolated`, a namespace may still offer what it has.
	#isOffered(digest: Digest): boolean {
		return this.ledger.database
			.all<{labels: string}>('SELECT namespace.labels FROM content JOIN namespace ON namespace.name = content.namespace WHERE content.digest = ?', digest)
			.some(({labels}) => decodeLabels(labels)[SHAREABLE] === 'true');
	}
}
