/** Layers applied to mounts, and compared from them, as tars. */

import {readFile} from 'node:fs/promises';
import {availableParallelism} from 'node:os';
import {z} from 'zod';
import {Differ} from '../../contracts/diff/diff.ts';
import {definePlugin, once} from '../../kernel/index.ts';
import {findDecompressors} from './decompressor.ts';
import {TarDiffer} from './differ.ts';
import {WorkerPool} from './worker-pool.ts';

const config = z.strictObject({
	decompressor: z.enum(['auto', 'builtin']).default('auto').describe('what inflates layers: auto takes igzip, unpigz or pigz, and zstd, where the PATH has them; builtin is zlib in this process'),
	workers: z.int().min(0).max(256).default(0).describe('how many layers are worked on at once; 0: one for each core'),
});

export const plugin = definePlugin({
	id: 'io.containerd.differ.v1.walking',
	provides: Differ,
	requires: {},
	config,
	async init({config: {decompressor, workers}, state, container, lifetime, log}) {
		const programs = decompressor === 'auto' ? findDecompressors(process.env['PATH'] ?? '') : {};
		log.debug('layers are inflated by', {gzip: programs.gzip?.path ?? 'zlib', zstd: programs.zstd?.path ?? 'zlib'});
		const pool = lifetime.use(new WorkerPool(workers === 0 ? availableParallelism() : workers));
		const isUpperWhole = !await isSet('redirect_dir') && !await isSet('metacopy');
		container.register(TarDiffer, {useFactory: once(() => new TarDiffer({pool, mountDirectory: state, programs, isUpperWhole}))});
		return container.resolve(TarDiffer);
	},
});

/** A default of overlayfs for mounts that do not say otherwise. */
async function isSet(parameter: string): Promise<boolean> {
	return readFile(`/sys/module/overlay/parameters/${parameter}`, 'utf8').then(text => text.trim() === 'Y', () => false);
}
