/** A thread that applies, joins and compares layers. It answers a job with its id, and a result or an error; a second one runs while the first waits for bytes. */

import {parentPort} from 'node:worker_threads';
import {KeelsonError} from '../../kernel/errors.ts';
import {stayBehind} from '../../lib/threads/quiet-worker.ts';
import {runApply, type JobControl} from './apply-job.ts';
import {runCompare} from './compare-job.ts';
import {runJoin} from './join-job.ts';
import {runPack} from './pack-job.ts';
import type {DiffJob, JobRequest} from './thread.ts';
import {runUnpack} from './unpack-job.ts';

const progressBytes = 4 * 1024 * 1024;

// Whoever calls the daemon does not wait for layers.
stayBehind();

parentPort?.on('message', ({id, job, cancelled}: JobRequest) => {
	const flag = new Int32Array(cancelled);
	let told = 0;
	const control: JobControl = {
		check() {
			if (Atomics.load(flag, 0) !== 0) {
				throw new KeelsonError('CANCELLED', 'the work on a layer was cancelled');
			}
		},
		starving(isStarving) {
			parentPort?.postMessage({id, isStarving});
		},
		progress(bytes) {
			if (bytes - told >= progressBytes) {
				told = bytes;
				parentPort?.postMessage({id, progress: bytes});
			}
		},
	};
	run(job, control).then(
		result => parentPort?.postMessage({id, result}),
		(error: unknown) => {
			const {code, message, stack} = KeelsonError.from(error, 'INTERNAL');
			parentPort?.postMessage({id, error: {code, message, stack}});
		},
	);
});

async function run(job: DiffJob, control: JobControl): Promise<unknown> {
	switch (job.kind) {
		case 'apply': {
			return runApply(job, control);
		}
		case 'compare': {
			return runCompare(job, control);
		}
		case 'join': {
			return runJoin(job, control);
		}
		case 'pack': {
			return runPack(job, control);
		}
		case 'unpack': {
			return runUnpack(job, control);
		}
	}
}
