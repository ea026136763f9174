/** The thread in which directories are measured and removed. It answers each job with its id, and a result or an error. */

import {parentPort} from 'node:worker_threads';
import {measureTree, removeTree, type DirectoryJob} from './directory-work.ts';

parentPort?.on('message', (job: DirectoryJob) => {
	const cancelled = new Int32Array(job.cancelled);
	try {
		const usage = job.kind === 'measure'
			? measureTree(job.path, () => Atomics.load(cancelled, 0) !== 0)
			: removeTree(job.path);
		parentPort?.postMessage({id: job.id, usage});
	} catch (error) {
		const {name, message, code} = error as NodeJS.ErrnoException;
		parentPort?.postMessage({id: job.id, error: {name, message, code}});
	}
});
