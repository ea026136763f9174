import type {Worker} from 'node:worker_threads';
import {KeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import {startBehind} from '../../lib/threads/quiet-worker.ts';
import type {ApplyJob} from './apply-job.ts';
import type {CompareJob} from './compare-job.ts';
import type {JoinJob} from './join-job.ts';
import type {PackJob} from './pack-job.ts';
import type {UnpackJob} from './unpack-job.ts';

export type DiffJob = ApplyJob | CompareJob | JoinJob | PackJob | UnpackJob;

/** What is sent to a worker; `cancelled` is one Int32 that becomes 1. */
export interface JobRequest {
	readonly id: number;
	readonly job: DiffJob;
	readonly cancelled: SharedArrayBuffer;
}

type Answer =
	| {readonly id: number; readonly progress: number}
	| {readonly id: number; readonly isStarving: boolean}
	| {readonly id: number; readonly result: unknown}
	| {readonly id: number; readonly error: {readonly code: ErrorCode; readonly message: string; readonly stack?: string}};

/** A job, and who waits for it. */
export interface Waiting {
	readonly job: DiffJob;
	readonly cancelled: SharedArrayBuffer;
	readonly progress: ((bytes: number) => void) | undefined;
	readonly resolve: (result: unknown) => void;
	readonly reject: (error: Error) => void;
}

const idleMs = 15_000;
/** Jobs of one thread, of which all but one wait for bytes. */
const jobsMax = 8;

/** A thread for layers: it takes a job while none of those that it has is at work. */
export class Thread implements AsyncDisposable {
	readonly #worker: Worker;
	readonly #onFree: () => void;
	readonly #jobs = new Map<number, Waiting>();
	readonly #starving = new Set<number>();
	/** Resolves when it is ending and its last job has ended. */
	readonly #drained = Promise.withResolvers<void>();
	#idle: NodeJS.Timeout | undefined;
	#lastId = 0;
	#isEnding = false;

	/** @param events.onFree it can take a job again. onEnd: it is gone, and what it had is rejected */
	constructor(events: {readonly onFree: () => void; readonly onEnd: () => void}) {
		this.#onFree = events.onFree;
		this.#worker = startBehind(new URL(import.meta.url.endsWith('.ts') ? './diff-worker.ts' : './diff-worker.js', import.meta.url), {
			// Descriptors come from openat2 and go by close, which node would warn of.
			trackUnmanagedFds: false,
			resourceLimits: {maxYoungGenerationSizeMb: youngMegabytes},
		});
		this.#worker.on('message', (answer: Answer) => this.#take(answer));
		this.#worker.on('error', error => this.#fail(KeelsonError.from(error, 'INTERNAL')));
		this.#worker.on('exit', () => {
			this.#fail(new KeelsonError('UNAVAILABLE', 'the thread for layers ended'));
			events.onEnd();
		});
		this.#rest();
	}

	get isBusy(): boolean {
		return this.#isEnding || this.#jobs.size > this.#starving.size || this.#jobs.size >= jobsMax;
	}

	/** How many jobs it has, of which all wait unless it is busy. */
	get load(): number {
		return this.#jobs.size;
	}

	start(waiting: Waiting): void {
		clearTimeout(this.#idle);
		const id = ++this.#lastId;
		this.#jobs.set(id, waiting);
		this.#worker.ref();
		this.#worker.postMessage({id, job: waiting.job, cancelled: waiting.cancelled} satisfies JobRequest);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		clearTimeout(this.#idle);
		this.#isEnding = true;
		// Let them end by themselves: they have descriptors open and maybe a child.
		for (const {cancelled} of this.#jobs.values()) {
			Atomics.store(new Int32Array(cancelled), 0, 1);
		}
		if (this.#jobs.size > 0) {
			await Promise.race([this.#drained.promise, new Promise(resolve => setTimeout(resolve, 1000).unref())]);
		}
		await this.#worker.terminate();
	}

	#take(answer: Answer): void {
		const {id} = answer;
		const waiting = this.#jobs.get(id);
		if (waiting === undefined) {
			return;
		}
		if ('progress' in answer) {
			waiting.progress?.(answer.progress);
			return;
		}
		if ('isStarving' in answer) {
			if (answer.isStarving) {
				this.#starving.add(id);
				this.#onFree();
			} else {
				this.#starving.delete(id);
			}
			return;
		}
		this.#jobs.delete(id);
		this.#starving.delete(id);
		if ('error' in answer) {
			const {code, message, stack} = answer.error;
			waiting.reject(new KeelsonError(code, message, {cause: Object.assign(new Error(message), {stack})}));
		} else {
			waiting.resolve(answer.result);
		}
		this.#onFree();
		if (this.#isEnding && this.#jobs.size === 0) {
			this.#drained.resolve();
		}
		if (this.#jobs.size === 0 && !this.#isEnding) {
			this.#rest();
		}
	}

	#rest(): void {
		this.#worker.unref();
		this.#idle = setTimeout(() => void this[Symbol.asyncDispose](), idleMs).unref();
	}

	#fail(error: KeelsonError): void {
		const waiting = [...this.#jobs.values()];
		this.#jobs.clear();
		this.#starving.clear();
		for (const {reject} of waiting) {
			reject(error);
		}
	}
}

/** What lives shortly in these threads is small: a large nursery would only be memory that is touched. */
const youngMegabytes = 8;
