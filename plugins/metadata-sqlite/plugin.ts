/** Metadata in one sqlite file, the scheduler of its garbage collection, and the counts of that. */

import {access} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {ContentStore} from '../../contracts/content/content.ts';
import {EventBus} from '../../contracts/event/event.ts';
import {GarbageCollector} from '../../contracts/metadata/garbage-collector.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {MetricSource} from '../../contracts/metrics/metrics.ts';
import {Snapshotter} from '../../contracts/snapshot/snapshot.ts';
import {all, definePlugin, KeelsonError, once, one} from '../../kernel/index.ts';
import {Database} from '../../lib/sqlite/database.ts';
import {SqliteMetadata} from './metadata.ts';
import {schedulerConfig} from './schedule/scheduler-config.ts';
import {CollectionScheduler} from './schedule/scheduler.ts';
import {migrations} from './schema.ts';

const config = z.strictObject({
	content_sharing_policy: z.enum(['shared', 'isolated']).default('shared')
		.describe('shared: a namespace gets a blob that another one has by naming its digest; isolated: it must send the bytes, unless the other is labelled containerd.io/namespace.shareable=true'),
	no_sync: z.boolean().default(false).describe('commits survive the daemon but not a loss of power; faster, for tests'),
});

const metadata = definePlugin({
	id: 'io.containerd.metadata.v1.sqlite',
	provides: Metadata,
	requires: {content: one(ContentStore), snapshotters: all(Snapshotter), events: one(EventBus)},
	config,
	aliases: ['io.containerd.metadata.v1.bolt'],

	async init({config: {content_sharing_policy: sharing, no_sync: noSync}, services: {content, snapshotters, events}, root, daemon, container, lifetime, log}) {
		await refuseBolt(join(daemon.root, 'io.containerd.metadata.v1.bolt', 'meta.db'));
		const database = lifetime.use(new Database({path: join(root, 'meta.sqlite'), migrations, isDurable: !noSync}));
		container.register(SqliteMetadata, {useFactory: once(() => new SqliteMetadata({database, content, snapshotters, events, sharing, log}))});
		return lifetime.use(container.resolve(SqliteMetadata));
	},
});

const scheduler = definePlugin({
	id: 'io.containerd.gc.v1.scheduler',
	provides: GarbageCollector,
	requires: {metadata: one(Metadata)},
	config: schedulerConfig,

	init({config, services: {metadata}, container, lifetime, log}) {
		container.register(CollectionScheduler, {useFactory: once(() => new CollectionScheduler(metadata, config, log))});
		return lifetime.use(container.resolve(CollectionScheduler));
	},
});

const counts = definePlugin({
	id: 'io.containerd.metrics.v1.gc',
	provides: MetricSource,
	requires: {collector: one(GarbageCollector)},
	config: z.strictObject({}),

	init({services: {collector}, skip}) {
		return collector instanceof CollectionScheduler ? collector.counts : skip('the collections are another plugin\'s');
	},
});

export const plugin = [metadata, scheduler, counts];

// Its containers and images would be there and yet nobody would see them.
async function refuseBolt(file: string): Promise<void> {
	const isThere = await access(file).then(() => true, () => false);
	if (isThere) {
		throw new KeelsonError('FAILED_PRECONDITION', `this root holds containerd's own database ${file}, which cannot be adopted: give keelson a root directory of its own`);
	}
}
