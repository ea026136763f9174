import {mkdtemp, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {Differ} from '../../contracts/diff/diff.ts';
import {findDecompressors, type Decompressors} from '../../plugins/diff-tar/decompressor.ts';
import {TarDiffer} from '../../plugins/diff-tar/differ.ts';
import type {StreamProcessor} from '../../plugins/diff-tar/processor-chain.ts';
import {WorkerPool} from '../../plugins/diff-tar/worker-pool.ts';

/** What inflates, of those that the PATH has or of node's own: as the load says; or always in the thread that unpacks, or beside it. */
export type Inflation = `${'auto' | 'builtin'}${'' | '-within' | '-beside'}`;

export const inflations: readonly Inflation[] = ['auto', 'auto-within', 'auto-beside', 'builtin', 'builtin-within', 'builtin-beside'];

/** The differ of plugins/diff-tar with two threads. Disposing it fails where a mount of its own is left. */
export async function createDiffer(inflation: Inflation = 'auto', processors: readonly StreamProcessor[] = []): Promise<Differ & AsyncDisposable> {
	const mountDirectory = await mkdtemp(path.join(tmpdir(), 'keelson-differ-'));
	const pool = new WorkerPool(2);
	const differ = new TarDiffer({pool, mountDirectory, decompressors: decompressorsOf(inflation), cores: 2, processors, isUpperWhole: true});
	return Object.assign(differ, {
		async [Symbol.asyncDispose]() {
			await pool[Symbol.asyncDispose]();
			await rmdir(mountDirectory);
		},
	});
}

function decompressorsOf(inflation: Inflation): Decompressors {
	const found = findDecompressors(inflation.startsWith('auto') ? process.env['PATH'] : undefined);
	const {within, beside} = found;
	return inflation.endsWith('-within') ? {within, beside: within} : inflation.endsWith('-beside') ? {within: beside, beside} : found;
}
