/** Content on the local disk: one file a blob, named by its digest. */

import {z} from 'zod';
import {ContentStore} from '../../contracts/content/content.ts';
import {definePlugin, once} from '../../kernel/index.ts';
import {BlobDirectory} from './blob-directory.ts';
import {IngestDirectory} from './ingest-directory.ts';
import {IngestWorker} from './ingest-worker-client.ts';
import {LocalContentStore} from './store.ts';

const config = z.strictObject({
	root_path: z.string().default('').describe('where blobs and ingests are kept; empty: the plugin\'s own directory below the daemon\'s root'),
});

export const plugin = definePlugin({
	id: 'io.containerd.content.v1.content',
	provides: ContentStore,
	requires: {},
	config,

	async init({config: {root_path: rootPath}, root, container, lifetime, status}) {
		const directory = rootPath === '' ? root : rootPath;
		status.export('io.containerd.content.v1.content', {root: directory});
		const blobs = await BlobDirectory.open(`${directory}/blobs`);
		const ingests = await IngestDirectory.open(`${directory}/ingest`);
		const worker = lifetime.use(new IngestWorker());
		container.register(LocalContentStore, {useFactory: once(() => new LocalContentStore({blobs, ingests, worker}))});
		return lifetime.use(container.resolve(LocalContentStore));
	},
});
