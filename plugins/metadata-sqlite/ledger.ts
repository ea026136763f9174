import type {EventBus, EventType, EventValues, Topic} from '../../contracts/event/event.ts';
import type {ChangeListener} from '../../contracts/metadata/metadata.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Database} from '../../lib/sqlite/database.ts';
import {Barrier} from './collect/barrier.ts';
import type {Node} from './collect/node.ts';
import {Sequence} from './sequence.ts';

/** Who asks: a namespace, and the lease that gets what is made. */
export interface Owner {
	readonly namespace: string;
	readonly lease: string | undefined;
}

/** One transaction as those who write rows see it. Nothing of it is visible before it is durable. */
export interface Change {
	readonly database: Database;
	/** Milliseconds since 1970, the same for all rows of the change. */
	readonly now: number;
	/** To be published after the commit. */
	event<T extends EventType>(namespace: string, topic: Topic, type: T, value: EventValues[T]): void;
	/** `node` was made, or refers to something new. */
	touch(node: Node): void;
	/**
	 * Something was taken away, so a collection is worth it. Labels that change do not count: who made something and has not referred to it yet
	 * expects it to stay while nobody deletes anything.
	 */
	loosen(): void;
	/** Makes the namespace if it is not there, as a first use does. */
	useNamespace(namespace: string): void;
	/** Puts a resource into the owner's lease, when there is one. Throws NOT_FOUND when there is no such lease. */
	lease(owner: Owner, type: string, id: string): void;
	/** Takes it out of the owner's lease again. */
	unlease(owner: Owner, type: string, id: string): void;
}

/** The one way to write: a transaction, then what the rest of the house must learn of it, in that order. */
export class Ledger {
	readonly database: Database;
	readonly barrier = new Barrier();
	readonly sequence: Sequence;
	readonly #events: EventBus;
	readonly #listeners = new Set<ChangeListener>();

	constructor(database: Database, events: EventBus) {
		this.database = database;
		this.sequence = new Sequence(database);
		this.#events = events;
	}

	/** Durable when it returns; nothing happened when `work` throws. */
	change<T>(work: (change: Change) => T): T {
		const {database, barrier} = this;
		const after: Array<() => void> = [];
		let hasDeleted = false;
		const change: Change = {
			database,
			now: Date.now(),
			event: (namespace, topic, type, value) => {
				after.push(() => {
					this.#events.publish(namespace, topic, {type, value});
				});
			},
			touch: node => {
				after.push(() => {
					barrier.touch(node);
				});
			},
			loosen: () => {
				hasDeleted = true;
			},
			useNamespace: namespace => {
				if (database.get('SELECT 1 FROM namespace WHERE name = ?', namespace) === undefined) {
					database.run('INSERT INTO namespace VALUES (?, ?)', namespace, '{}');
				}
			},
			lease: ({namespace, lease}, type, id) => {
				if (lease !== undefined) {
					requireLease(database, namespace, lease);
					database.run('INSERT OR IGNORE INTO lease_resource VALUES (?, ?, ?, ?)', namespace, lease, type, id);
				}
			},
			unlease: ({namespace, lease}, type, id) => {
				if (lease !== undefined) {
					database.run('DELETE FROM lease_resource WHERE namespace = ? AND lease = ? AND type = ? AND id = ?', namespace, lease, type, id);
				}
			},
		};
		const result = database.transaction(() => work(change));
		for (const step of after) {
			step();
		}
		for (const listener of this.#listeners) {
			listener({hasDeleted});
		}
		return result;
	}

	/** A collection begins. */
	collecting(): void {
		for (const listener of this.#listeners) {
			listener({hasDeleted: false, hasCollected: true});
		}
	}

	/** Until disposed. */
	watch(listener: ChangeListener): Disposable {
		this.#listeners.add(listener);
		return {[Symbol.dispose]: () => this.#listeners.delete(listener)};
	}
}

/** Throws NOT_FOUND. */
export function requireLease(database: Database, namespace: string, lease: string): void {
	if (database.get('SELECT 1 FROM lease WHERE namespace = ? AND id = ?', namespace, lease) === undefined) {
		throw new KeelsonError('NOT_FOUND', `lease ${JSON.stringify(lease)}: not found`);
	}
}
