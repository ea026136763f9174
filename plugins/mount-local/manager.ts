import {mkdir, readdir} from 'node:fs/promises';
import path from 'node:path';
import type {CollectibleItem, CollectibleResource} from '../../contracts/metadata/collectible.ts';
import type {Metadata} from '../../contracts/metadata/metadata.ts';
import type {Activations, MountHandler, MountManager} from '../../contracts/mount-manager/mount-manager.ts';
import {parseIdentifier} from '../../contracts/oci/identifier.ts';
import type {Logger} from '../../kernel/log.ts';
import {KeyedLock} from '../../lib/lock/keyed-lock.ts';
import type {Database} from '../../lib/sqlite/database.ts';
import {NamespaceActivations} from './activations.ts';
import {ActivationRecords, type ActivationRecord} from './records.ts';
import {TargetDirectory} from './target-directory.ts';
import type {MkfsLimits} from './mkfs.ts';

export interface MountManagerParts {
	/** Opened with the migrations of schema.ts; the caller closes it, after the manager. */
	readonly database: Database;
	/** Where activations have their directories; made when it is not there. */
	readonly targets: string;
	/** The machine's boot id. */
	readonly boot: string;
	/** Below these transformers may make files and directories, besides in active mounts. */
	readonly roots: readonly string[];
	readonly mkfsBytesMax: number;
	/** By type. */
	readonly handlers: ReadonlyMap<string, MountHandler>;
	readonly metadata: Metadata;
	readonly log: Logger;
}

/** Mounts on this machine, recorded in a sqlite file of their own. They go on when this process does not. */
export class LocalMountManager implements MountManager, CollectibleResource, AsyncDisposable {
	readonly kind = 'mount';
	readonly records: ActivationRecords;
	readonly limits: MkfsLimits;
	readonly metadata: Metadata;
	/** By type. */
	readonly handlers: ReadonlyMap<string, MountHandler>;
	/** By namespace and name. */
	readonly #locks = new KeyedLock();
	readonly #targets: string;
	readonly #log: Logger;
	readonly #closing = new AbortController();
	#clearing: Promise<void> = Promise.resolve();

	private constructor({database, targets, boot, roots, mkfsBytesMax, handlers, metadata, log}: MountManagerParts) {
		this.records = new ActivationRecords(database, boot);
		this.limits = {roots, bytesMax: mkfsBytesMax, locks: new KeyedLock()};
		this.metadata = metadata;
		this.handlers = handlers;
		this.#targets = targets;
		this.#log = log;
	}

	/** Knows when it resolves which activations of an earlier daemon still stand; the rest is undone afterwards, and nothing waits for that. */
	static async open(parts: MountManagerParts): Promise<LocalMountManager> {
		const manager = new LocalMountManager(parts);
		await mkdir(parts.targets, {recursive: true, mode: 0o700});
		await manager.#recover();
		return manager;
	}

	activations({namespace, lease}: {readonly namespace: string; readonly lease?: string}): Activations {
		return new NamespaceActivations(this, parseIdentifier(namespace, 'namespace'), lease === '' ? undefined : lease);
	}

	/** Of the activation with that number, whether there is one or not. */
	directoryOf(number: number): TargetDirectory {
		return new TargetDirectory(path.join(this.#targets, String(number)), this.handlers);
	}

	list(): readonly CollectibleItem[] {
		return this.records.all().filter(({state}) => state === 'active').map(({number, namespace, name, labels, lease}) => ({
			namespace, id: name, labels, lease, condemn: () => this.records.leave(number),
		}));
	}

	async sweep(signal: AbortSignal): Promise<void> {
		for (const {number, namespace, name} of this.records.all().filter(({state}) => state === 'leaving')) {
			signal.throwIfAborted();
			using _lock = await this.lock(namespace, name);
			const record = this.records.at(number);
			// Whoever had the lock may have finished it.
			if (record?.state === 'leaving') {
				await this.finish(record).catch((error: unknown) => {
					this.#log.warn('an activation that nothing holds cannot be undone yet', {namespace, name, error});
				});
			}
		}
	}

	/** Resolves when nobody else makes or undoes the activation of that name, until disposed. */
	async lock(namespace: string, name: string): Promise<Disposable> {
		return this.#locks.hold(`${namespace}\0${name}`);
	}

	/** Undoes an activation and forgets it; `undone` is told of each mount that is gone. The caller has its lock. */
	async finish(record: ActivationRecord, undone?: () => void): Promise<void> {
		const directory = this.directoryOf(record.number);
		await (this.records.isOfThisBoot(record) ? directory.undo(undone) : directory.forget());
		this.records.remove(record.number);
	}

	/** Resolves when nothing is being undone; the activations stay. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		await this.#clearing;
	}

	async #recover(): Promise<void> {
		const records = this.records.all();
		await Promise.all(records.map(async record => {
			const {number, namespace, name, state, active} = record;
			if (state === 'active' && this.records.isOfThisBoot(record) && await this.directoryOf(number).has(active)) {
				return;
			}
			this.#log.warn('an activation does not stand any more', {namespace, name, state});
			this.records.leave(number);
		}));
		const known = new Set(records.map(({number}) => number));
		const strays = (await readdir(this.#targets)).filter(name => /^\d{1,15}$/.test(name)).map(Number).filter(number => !known.has(number));
		if (strays.length > 0) {
			// Of a database that was lost: their numbers would be given again.
			this.records.skipTo(Math.max(...strays));
		}
		this.#clearing = this.#clear(strays).catch((error: unknown) => {
			if (!this.#closing.signal.aborted) {
				this.#log.warn('leftovers of activations cannot be undone', {error});
			}
		});
	}

	async #clear(strays: readonly number[]): Promise<void> {
		await this.sweep(this.#closing.signal);
		for (const number of strays) {
			this.#closing.signal.throwIfAborted();
			await this.directoryOf(number).undo();
		}
	}
}
