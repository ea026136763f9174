/** A thread that applies and compares layers, one job at a time. It answers a job with its id, and a result or an error. */

import {parentPort} from 'node:worker_threads';
import {KeelsonError} from '../../kernel/errors.ts';
import {runApply, type JobControl} from './apply-job.ts';
import {runCompare} from './compare-job.ts';
import type {JobRequest} from './worker-pool.ts';

const progressBytes = 4 * 1024 * 1024;

parentPort?.on('message', ({id, job, cancelled}: JobRequest) => {
	const flag = new Int32Array(cancelled);
	let told = 0;
	const control: JobControl = {
		check() {
			if (Atomics.load(flag, 0) !== 0) {
				throw new KeelsonError('CANCELLED', 'the work on a layer was cancelled');
			}
		},
		progress(bytes) {
			if (bytes - told >= progressBytes) {
				told = bytes;
				parentPort?.postMessage({id, progress: bytes});
			}
		},
	};
	const work: Promise<unknown> = job.kind === 'apply' ? runApply(job, control) : runCompare(job, control);
	work.then(
		result => parentPort?.postMessage({id, result}),
		(error: unknown) => {
			const {code, message, stack} = KeelsonError.from(error, 'INTERNAL');
			parentPort?.postMessage({id, error: {code, message, stack}});
		},
	);
});
