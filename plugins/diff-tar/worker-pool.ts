import {closeSync} from 'node:fs';
import {Worker} from 'node:worker_threads';
import {KeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import type {ApplyJob, ApplyJobResult} from './apply-job.ts';
import type {CompareJob, CompareJobResult} from './compare-job.ts';

export type DiffJob = ApplyJob | CompareJob;

/** What is sent to a worker; `cancelled` is one Int32 that becomes 1. */
export interface JobRequest {
	readonly id: number;
	readonly job: DiffJob;
	readonly cancelled: SharedArrayBuffer;
}

type Answer =
	| {readonly id: number; readonly progress: number}
	| {readonly id: number; readonly result: unknown}
	| {readonly id: number; readonly error: {readonly code: ErrorCode; readonly message: string; readonly stack?: string}};

export interface RunOptions {
	readonly signal?: AbortSignal | undefined;
	readonly progress?: ((bytes: number) => void) | undefined;
}

interface Waiting {
	readonly job: DiffJob;
	readonly cancelled: SharedArrayBuffer;
	readonly progress: ((bytes: number) => void) | undefined;
	readonly resolve: (result: unknown) => void;
	readonly reject: (error: Error) => void;
}

const idleMs = 15_000;
const waitingMax = 1024;

/** Threads for work on layers, shared by all of it: started when needed, ended when idle for some time. */
export class WorkerPool implements AsyncDisposable {
	readonly #size: number;
	readonly #threads = new Set<Thread>();
	readonly #queue: Waiting[] = [];
	#isClosed = false;

	constructor(size: number) {
		this.#size = size;
	}

	run(job: ApplyJob, options?: RunOptions): Promise<ApplyJobResult>;
	run(job: CompareJob, options?: RunOptions): Promise<CompareJobResult>;

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
		const free = [...this.#threads].find(thread => !thread.isBusy);
		if (free !== undefined || this.#threads.size >= this.#size || this.#queue.length === 0) {
			return free;
		}
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

class Thread implements AsyncDisposable {
	readonly #worker: Worker;
	readonly #onFree: () => void;
	#current: (Waiting & {readonly id: number}) | undefined;
	#idle: NodeJS.Timeout | undefined;
	#lastId = 0;
	#isEnding = false;

	constructor({onFree, onEnd}: {readonly onFree: () => void; readonly onEnd: () => void}) {
		this.#onFree = onFree;
		this.#worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './diff-worker.ts' : './diff-worker.js', import.meta.url), {
			// Descriptors come from openat2 and go by close, which node would warn of.
			trackUnmanagedFds: false,
		});
		this.#worker.on('message', (answer: Answer) => this.#take(answer));
		this.#worker.on('error', error => this.#fail(KeelsonError.from(error, 'INTERNAL')));
		this.#worker.on('exit', () => {
			this.#fail(new KeelsonError('UNAVAILABLE', 'the thread for layers ended'));
			onEnd();
		});
	}

	get isBusy(): boolean {
		return this.#current !== undefined || this.#isEnding;
	}

	start(waiting: Waiting): void {
		clearTimeout(this.#idle);
		const id = ++this.#lastId;
		this.#current = {...waiting, id};
		this.#worker.ref();
		this.#worker.postMessage({id, job: waiting.job, cancelled: waiting.cancelled} satisfies JobRequest);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		clearTimeout(this.#idle);
		this.#isEnding = true;
		const current = this.#current;
		if (current !== undefined) {
			// Let it end by itself: it has descriptors open and maybe a child.
			Atomics.store(new Int32Array(current.cancelled), 0, 1);
			await Promise.race([new Promise(resolve => this.#worker.once('message', resolve)), new Promise(resolve => setTimeout(resolve, 1000).unref())]);
		}
		await this.#worker.terminate();
	}

	#take(answer: Answer): void {
		const current = this.#current;
		if (current?.id !== answer.id) {
			return;
		}
		if ('progress' in answer) {
			current.progress?.(answer.progress);
			return;
		}
		this.#current = undefined;
		if ('error' in answer) {
			const {code, message, stack} = answer.error;
			current.reject(new KeelsonError(code, message, {cause: Object.assign(new Error(message), {stack})}));
		} else {
			current.resolve(answer.result);
		}
		this.#onFree();
		if (!this.isBusy) {
			this.#worker.unref();
			this.#idle = setTimeout(() => void this[Symbol.asyncDispose](), idleMs).unref();
		}
	}

	#fail(error: KeelsonError): void {
		const current = this.#current;
		this.#current = undefined;
		current?.reject(error);
	}
}

// The worker closes them where it gets the job.
function discard(job: DiffJob): void {
	const fd = job.kind === 'apply' ? job.input : job.output;
	if (typeof fd === 'number') {
		closeSync(fd);
	}
}
