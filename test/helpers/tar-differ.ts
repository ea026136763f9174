import {mkdtemp, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {Differ} from '../../contracts/diff/diff.ts';
import {findDecompressors} from '../../plugins/diff-tar/decompressor.ts';
import {TarDiffer} from '../../plugins/diff-tar/differ.ts';
import type {StreamProcessor} from '../../plugins/diff-tar/processor-chain.ts';
import {WorkerPool} from '../../plugins/diff-tar/worker-pool.ts';

/** The differ of plugins/diff-tar with two threads. Disposing it fails where a mount of its own is left. */
export async function createDiffer(decompressor: 'auto' | 'builtin' = 'auto', processors: readonly StreamProcessor[] = []): Promise<Differ & AsyncDisposable> {
	const mountDirectory = await mkdtemp(path.join(tmpdir(), 'keelson-differ-'));
	const pool = new WorkerPool(2);
	const programs = decompressor === 'auto' ? findDecompressors(process.env['PATH'] ?? '') : {};
	const differ = new TarDiffer({pool, mountDirectory, programs, processors, isUpperWhole: true});
	return Object.assign(differ, {
		async [Symbol.asyncDispose]() {
			await pool[Symbol.asyncDispose]();
			await rmdir(mountDirectory);
		},
	});
}
