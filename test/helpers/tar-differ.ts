import {mkdtemp, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {Differ} from '../../contracts/diff/diff.ts';
import {TarDiffer} from '../../plugins/diff-tar/differ.ts';
import type {StreamProcessor} from '../../plugins/diff-tar/processor-chain.ts';
import {WorkerPool} from '../../plugins/diff-tar/worker-pool.ts';

/** What inflates, of those that the system has or of node's own: in the thread that unpacks, or beside it; or node's streams, for a node without libraries. */
export type Inflation = 'auto' | 'auto-beside' | 'builtin' | 'builtin-beside' | 'streams';

export const inflations: readonly Inflation[] = ['auto', 'auto-beside', 'builtin', 'builtin-beside', 'streams'];

/** The differ of plugins/diff-tar with two threads. Disposing it fails where a mount of its own is left. */
export async function createDiffer(inflation: Inflation = 'auto', processors: readonly StreamProcessor[] = []): Promise<Differ & AsyncDisposable> {
	const mountDirectory = await mkdtemp(path.join(tmpdir(), 'keelson-differ-'));
	const pool = new WorkerPool(2);
	const differ = new TarDiffer({pool, mountDirectory, libraries: inflation === 'streams' ? 'none' : inflation.startsWith('auto') ? 'system' : 'own', cores: inflation.endsWith('-beside') ? 64 : 1, processors, isUpperWhole: true});
	return Object.assign(differ, {
		async [Symbol.asyncDispose]() {
			await pool[Symbol.asyncDispose]();
			await rmdir(mountDirectory);
		},
	});
}
