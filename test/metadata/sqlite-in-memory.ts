import type {Envelope, EventBus} from '../../contracts/event/event.ts';
import type {ContentStore} from '../../contracts/content/content.ts';
import type {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import type {Metadata} from '../../contracts/metadata/metadata.ts';
import type {Logger} from '../../kernel/log.ts';
import {Database} from '../../lib/sqlite/database.ts';
import {SqliteMetadata} from '../../plugins/metadata-sqlite/metadata.ts';
import {migrations} from '../../plugins/metadata-sqlite/schema.ts';
import {MemoryContentStore} from '../helpers/memory-content.ts';
import {MemorySnapshotter} from '../helpers/memory-snapshot.ts';

/** Keeps every envelope; nobody subscribes. */
export class RecordingBus implements EventBus {
	readonly envelopes: Envelope[] = [];

	publish: EventBus['publish'] = (namespace, topic, event) => {
		this.envelopes.push({timestamp: new Date(), namespace, topic, event});
	};

	forward(envelope: Envelope): void {
		this.envelopes.push(envelope);
	}

	async *subscribe(): AsyncIterable<Envelope> {
		yield* this.envelopes;
	}
}

/** Fails the test that logs an error through it, by throwing in the face of whoever logs. */
export const strictLog: Logger = {
	trace() {},
	debug() {},
	info() {},
	warn() {},
	error(message, fields) {
		throw new Error(message, {cause: fields});
	},
	with: () => strictLog,
};

export interface House extends Metadata, AsyncDisposable {
	readonly metadata: SqliteMetadata;
	readonly content: ContentStore;
	readonly snapshotter: Snapshotter;
	readonly events: RecordingBus;
	readonly database: Database;
}

export interface HouseOptions {
	readonly path?: string;
	readonly sharing?: 'shared' | 'isolated';
	readonly content?: ContentStore;
	readonly snapshotter?: Snapshotter;
	readonly log?: Logger;
	readonly turnMs?: number;
}

/** Metadata of ours over stores in memory. */
export function sqliteInMemory(options: HouseOptions = {}): House {
	const {path = ':memory:', sharing = 'shared', content = new MemoryContentStore(), snapshotter = new MemorySnapshotter(), log = strictLog, turnMs = 5} = options;
	const database = new Database({path, migrations, isDurable: false});
	const events = new RecordingBus();
	const metadata = new SqliteMetadata({database, content, snapshotters: new Map([['memory', snapshotter]]), events, sharing, log, turnMs});
	return {
		metadata, content, snapshotter, events, database,
		namespaces: metadata.namespaces,
		snapshotters: metadata.snapshotters,
		scope: scope => metadata.scope(scope),
		collect: async signal => metadata.collect(signal),
		register: resource => metadata.register(resource),
		watch: listener => metadata.watch(listener),
		async [Symbol.asyncDispose]() {
			await metadata[Symbol.asyncDispose]();
			database[Symbol.dispose]();
		},
	};
}
