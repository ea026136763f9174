import {closeSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import type {ApplyJob, ApplyJobResult} from './apply-job.ts';
import type {CompareJob, CompareJobResult} from './compare-job.ts';
import type {JoinJob} from './join-job.ts';
import type {PackJob} from './pack-job.ts';
import {Thread, type DiffJob, type Waiting} from './thread.ts';
import type {UnpackJob} from './unpack-job.ts';

export interface RunOptions {
	readonly signal?: AbortSignal | undefined;
	readonly progress?: ((bytes: number) => void) | undefined;
}

const waitingMax = 1024;

/** Threads for work on layers, shared by all of it: started when needed, ended when idle for some time. */
export class WorkerPool implements AsyncDisposable {
	readonly #size: number;
	readonly #threads = new Set<Thread>();
	readonly #queue: Waiting[] = [];
	#expected = 0;
	#isClosed = false;

	constructor(size: number) {
		this.#size = size;
	}

	/** That are worked on, or wait. */
	get jobs(): number {
		return [...this.#threads].reduce((sum, {load}) => sum + load, this.#queue.length);
	}

	/** Jobs may come: there is a thread from now on, until it has been idle for some time. */
	wake(): void {
		if (!this.#isClosed && this.#threads.size === 0) {
			this.#startThread();
		}
	}

	/** A job will come soon: the thread for it starts meanwhile, where there is none. Disposed once the job has come, or does not any more. */
	expect(): Disposable {
		this.#expected++;
		if (!this.#isClosed && this.#threads.size < Math.min(this.#size, this.jobs + this.#expected)) {
			this.#startThread();
		}
		return {[Symbol.dispose]: () => this.#expected--};
	}

	run(job: ApplyJob, options?: RunOptions): Promise<ApplyJobResult>;
	run(job: CompareJob, options?: RunOptions): Promise<CompareJobResult>;
	run(job: JoinJob | PackJob | UnpackJob, options?: RunOptions): Promise<void>;

	/** Rejects as the job does; soon after `signal` is aborted with its reason; with RESOURCE_EXHAUSTED when too many wait. A job's descriptors are closed in any case. */
	async run(job: DiffJob, {signal, progress}: RunOptions = {}): Promise<unknown> {
		const cancelled = new SharedArrayBuffer(4);
		const {promise, resolve, reject} = Promise.withResolvers<unknown>();
		const waiting: Waiting = {job, cancelled, progress, resolve, reject};
		const abort = (): void => {
			Atomics.store(new Int32Array(cancelled), 0, 1);
			this.#drop(waiting, new KeelsonError('CANCELLED', 'the work on a layer was cancelled'));
		};
		if (signal?.aborted === true || this.#isClosed || this.#queue.length >= waitingMax) {
			discard(job);
			signal?.throwIfAborted();
			throw new KeelsonError(this.#isClosed ? 'UNAVAILABLE' : 'RESOURCE_EXHAUSTED', 'no thread can take the work on a layer');
		}
		signal?.addEventListener('abort', abort, {once: true});
		try {
			this.#queue.push(waiting);
			this.#dispatch();
			return await promise;
		} catch (error) {
			signal?.throwIfAborted();
			throw error;
		} finally {
			signal?.removeEventListener('abort', abort);
		}
	}

	/** Cancels what runs and waits; resolves when all threads have ended. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#isClosed = true;
		for (const waiting of this.#queue.slice()) {
			this.#drop(waiting, new KeelsonError('UNAVAILABLE', 'the differ is closed'));
		}
		await Promise.all([...this.#threads].map(thread => thread[Symbol.asyncDispose]()));
	}

	#drop(waiting: Waiting, error: Error): void {
		const at = this.#queue.indexOf(waiting);
		if (at !== -1) {
			this.#queue.splice(at, 1);
			discard(waiting.job);
			waiting.reject(error);
		}
	}

	#dispatch(): void {
		for (let thread = this.#freeThread(); thread !== undefined && this.#queue.length > 0; thread = this.#freeThread()) {
			const waiting = this.#queue.shift();
			if (waiting !== undefined) {
				thread.start(waiting);
			}
		}
	}

	#freeThread(): Thread | undefined {
		// An idle one first, then a new one: those whose jobs wait will be needed by them again.
		const [free] = [...this.#threads].filter(thread => !thread.isBusy).toSorted((a, b) => a.load - b.load);
		if (free?.load === 0 || this.#threads.size >= this.#size || this.#queue.length === 0) {
			return free;
		}
		return this.#startThread();
	}

	#startThread(): Thread {
		const thread = new Thread({
			onFree: () => this.#dispatch(),
			onEnd: () => {
				this.#threads.delete(thread);
				this.#dispatch();
			},
		});
		this.#threads.add(thread);
		return thread;
	}
}

// The worker closes them where it gets the job.
function discard(job: DiffJob): void {
	const fd = job.kind === 'apply' || job.kind === 'unpack' ? job.input : job.kind === 'compare' || job.kind === 'pack' ? job.output : undefined;
	if (typeof fd === 'number') {
		closeSync(fd);
	}
}
