/** Layers applied to mounts, and compared from them, as tars; and parts of trees that are copied as such. */

import {readFile} from 'node:fs/promises';
import {availableParallelism} from 'node:os';
import {z} from 'zod';
import {TreeCopy} from '../../contracts/copy/copy.ts';
import {Differ} from '../../contracts/diff/diff.ts';
import {EventBus} from '../../contracts/event/event.ts';
import {definePlugin, definePlugins, once, one, type Plugin} from '../../kernel/index.ts';
import {TarDiffer} from './differ.ts';
import type {Inflater} from './inflate.ts';
import type {StreamProcessor} from './processor-chain.ts';
import {readProcessors} from './processor-config.ts';
import {TarTreeCopy} from './tree-copy.ts';
import {WorkerPool} from './worker-pool.ts';

const config = z.strictObject({
	decompressor: z.enum(['auto', 'builtin']).default('auto').describe('what inflates layers: auto takes ISA-L for gzip where the system has it; builtin is what node is made of'),
	workers: z.int().min(0).max(256).default(0).describe('how many layers are worked on at once; 0: one for each core'),
});

const differ = (processors: readonly StreamProcessor[]): Plugin => definePlugin({
	id: 'io.containerd.differ.v1.walking',
	provides: Differ,
	requires: {events: one(EventBus)},
	config,
	async init({config: {decompressor, workers}, services: {events}, state, container, lifetime, log}) {
		const libraries = decompressor === 'auto' ? 'system' : 'own';
		const told = new Set<Inflater>();
		const inflated = (by: Inflater): void => {
			if (!told.has(by)) {
				told.add(by);
				log.debug('layers are inflated', {by});
			}
		};
		const cores = availableParallelism();
		const pool = lifetime.use(new WorkerPool(workers === 0 ? cores : workers));
		startAhead(pool, events, lifetime);
		const isUpperWhole = !await isSet('redirect_dir') && !await isSet('metacopy');
		container.register(TarDiffer, {useFactory: once(() => new TarDiffer({pool, mountDirectory: state, libraries, inflated, cores, processors, isUpperWhole}))});
		return container.resolve(TarDiffer);
	},
});

// A client that stalls keeps its thread: more than one may.
const COPIES_MAX = 4;

const copy = definePlugin({
	id: 'io.keelson.copy.v1.tar',
	provides: TreeCopy,
	requires: {},
	config: z.strictObject({}),
	init({state, lifetime}) {
		const pool = lifetime.use(new WorkerPool(COPIES_MAX));
		return new TarTreeCopy({pool, mountDirectory: state, libraries: 'system'});
	},
});

/** The differ runs what the daemon's `[stream_processors]` name. */
export const plugin = definePlugins((daemon, refuse) => [differ(readProcessors(daemon, refuse)), copy]);

/** A client that pulls keeps documents first, then layers, and has those applied: the first thread starts meanwhile, and ends when it is idle. */
function startAhead(pool: WorkerPool, events: EventBus, lifetime: AsyncDisposableStack): void {
	const ending = new AbortController();
	lifetime.defer(() => ending.abort());
	const contents = events.subscribe({filters: ['topic=="/content/create"'], signal: ending.signal});
	const listen = async (): Promise<void> => {
		for await (const _ of contents) {
			pool.wake();
		}
	};
	// One that falls thousands of events behind is cut off: from then on a thread starts with its first layer.
	void listen().catch(() => undefined);
}

/** A default of overlayfs for mounts that do not say otherwise. */
async function isSet(parameter: string): Promise<boolean> {
	return readFile(`/sys/module/overlay/parameters/${parameter}`, 'utf8').then(text => text.trim() === 'Y', () => false);
}
