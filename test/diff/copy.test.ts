import {mkdtemp, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test from 'ava';
import {copySuite} from '../../contracts/copy/copy.suite.ts';
import {TarTreeCopy} from '../../plugins/diff-tar/tree-copy.ts';
import {WorkerPool} from '../../plugins/diff-tar/worker-pool.ts';

copySuite(test.serial, {
	name: 'tar',
	async create() {
		const mountDirectory = await mkdtemp(path.join(tmpdir(), 'keelson-copies-'));
		const pool = new WorkerPool(2);
		return Object.assign(new TarTreeCopy({pool, mountDirectory, libraries: 'own'}), {
			async [Symbol.asyncDispose]() {
				await pool[Symbol.asyncDispose]();
				await rmdir(mountDirectory);
			},
		});
	},
});
