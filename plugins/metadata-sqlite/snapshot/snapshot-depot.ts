import type {Snapshotter} from '../../../contracts/snapshot/snapshot.ts';
import {KeelsonError, isKeelsonError} from '../../../kernel/errors.ts';
import {KeyedLock} from '../../../lib/lock/keyed-lock.ts';
import type {Ledger} from '../ledger.ts';
import {RemovalGuard} from '../removal-guard.ts';
import {finishCommits} from './pending-commits.ts';

/** What all namespaces share of one bare snapshotter. */
export class SnapshotDepot {
	readonly name: string;
	readonly ledger: Ledger;
	readonly bare: Snapshotter;
	/** By namespace and name. */
	readonly locks = new KeyedLock();
	/** By key of the bare snapshotter. */
	readonly guard = new RemovalGuard<string>();
	readonly #inFlight = new Set<string>();
	readonly #suspects = new Set<string>();
	#recovered: Promise<void> | undefined;

	constructor(name: string, ledger: Ledger, bare: Snapshotter) {
		this.name = name;
		this.ledger = ledger;
		this.bare = bare;
	}

	/** What a killed daemon had asked for and not written down is settled before anything else happens; once, and again only if that failed. */
	async recovered(): Promise<void> {
		this.#recovered ??= finishCommits(this).catch((error: unknown) => {
			this.#recovered = undefined;
			throw error;
		});
		await this.#recovered;
	}

	/** A key of the bare snapshotter that no client has used or will use. It is not collected until disposed, although no row names it yet. */
	newBackend(namespace: string, name: string): Disposable & {readonly number: number; readonly backend: string} {
		const number = this.ledger.sequence.next();
		const backend = `${namespace}/${number}/${name}`;
		this.#inFlight.add(backend);
		return {number, backend, [Symbol.dispose]: () => this.#inFlight.delete(backend)};
	}

	isInFlight(backend: string): boolean {
		return this.#inFlight.has(backend);
	}

	/** A bare snapshot that has no row any more. */
	suspect(backend: string): void {
		this.#suspects.add(backend);
	}

	/** The suspects so far, which are forgotten. */
	takeSuspects(): readonly string[] {
		const suspects = [...this.#suspects];
		this.#suspects.clear();
		return suspects;
	}

	/** Rejects with what `error` says of a backend's key, said of the client's name instead. */
	static rename(error: unknown, backend: string, name: string): never {
		if (isKeelsonError(error) && error.message.includes(backend)) {
			throw new KeelsonError(error.code, error.message.replaceAll(backend, name), {cause: error});
		}
		throw error;
	}
}
