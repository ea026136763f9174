import {Worker} from 'node:worker_threads';
import type {SnapshotUsage} from '../../contracts/snapshot/snapshot.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {DirectoryJob} from './directory-work.ts';

const idleMs = 10_000;

interface Waiting {
	readonly resolve: (usage: SnapshotUsage | undefined) => void;
	readonly reject: (error: Error) => void;
}

interface Answer {
	readonly id: number;
	readonly usage?: SnapshotUsage;
	readonly error?: {readonly name: string; readonly message: string; readonly code?: string};
}

/** A thread for work on whole trees, one job after another. It starts with the first job and ends some seconds after the last. */
export class DirectoryThread implements AsyncDisposable {
	readonly #waiting = new Map<number, Waiting>();
	#worker: Worker | undefined;
	#idle: NodeJS.Timeout | undefined;
	#lastId = 0;
	#isClosed = false;

	/** Rejects with INTERNAL where the tree cannot be read, and as `signal` says. */
	async measure(path: string, signal?: AbortSignal): Promise<SnapshotUsage> {
		const usage = await this.#do('measure', path, signal);
		return usage ?? {size: 0, inodes: 0};
	}

	/** Resolves when the tree is gone. Rejects with INTERNAL (cause: the system's error with its `code`). */
	async remove(path: string): Promise<void> {
		await this.#do('remove', path, undefined);
	}

	/** What still waits is rejected with UNAVAILABLE; a removal stays half done. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#isClosed = true;
		await this.#stop();
	}

	async #do(kind: DirectoryJob['kind'], path: string, signal: AbortSignal | undefined): Promise<SnapshotUsage | undefined> {
		signal?.throwIfAborted();
		if (this.#isClosed) {
			throw new KeelsonError('UNAVAILABLE', `cannot ${kind} ${path}: the snapshotter is closed`);
		}
		const cancelled = new SharedArrayBuffer(4);
		const abort = (): void => {
			Atomics.store(new Int32Array(cancelled), 0, 1);
		};
		signal?.addEventListener('abort', abort, {once: true});
		const {promise, resolve, reject} = Promise.withResolvers<SnapshotUsage | undefined>();
		try {
			const id = ++this.#lastId;
			this.#waiting.set(id, {resolve, reject});
			clearTimeout(this.#idle);
			this.#worker ??= this.#start();
			this.#worker.ref();
			this.#worker.postMessage({id, kind, path, cancelled} satisfies DirectoryJob);
			return await promise;
		} catch (error) {
			signal?.throwIfAborted();
			throw KeelsonError.from(error, 'INTERNAL');
		} finally {
			signal?.removeEventListener('abort', abort);
		}
	}

	#start(): Worker {
		const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './directory-worker.ts' : './directory-worker.js', import.meta.url));
		worker.on('message', ({id, usage, error}: Answer) => {
			const waiting = this.#waiting.get(id);
			this.#waiting.delete(id);
			if (error === undefined) {
				waiting?.resolve(usage);
			} else {
				waiting?.reject(Object.assign(new Error(error.message), {name: error.name, code: error.code}));
			}
			this.#rest();
		});
		worker.on('error', error => this.#fail(worker, error));
		worker.on('exit', () => this.#fail(worker, new KeelsonError('UNAVAILABLE', 'the thread for directories ended')));
		return worker;
	}

	#rest(): void {
		if (this.#waiting.size === 0) {
			this.#worker?.unref();
			this.#idle = setTimeout(() => void this.#stop(), idleMs).unref();
		}
	}

	#fail(worker: Worker, error: Error): void {
		if (this.#worker !== worker) {
			return;
		}
		this.#worker = undefined;
		for (const {reject} of this.#waiting.values()) {
			reject(error);
		}
		this.#waiting.clear();
	}

	async #stop(): Promise<void> {
		clearTimeout(this.#idle);
		const worker = this.#worker;
		if (worker !== undefined) {
			this.#fail(worker, new KeelsonError('UNAVAILABLE', 'the snapshotter is closed'));
			await worker.terminate();
		}
	}
}
