import type {Worker} from 'node:worker_threads';
import {KeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import {startBehind} from '../../lib/threads/quiet-worker.ts';
import {OpenIngests, type IngestReply, type IngestRequest} from './open-ingests.ts';

type Without<T> = T extends unknown ? Omit<T, 'id'> : never;

/** Nothing lives in this thread but its own messages. */
const YOUNG_MEGABYTES = 2;

interface Answer {
	readonly size: number;
	readonly digest: string;
}

interface Pending {
	resolve(value: Answer): void;
	reject(error: unknown): void;
}

/** Hashes and writes ingests. */
export interface Ingester {
	/** Names an ingest for `ask`. */
	newIngest(): number;
	/** A write's memory must not change until it is answered. Rejects with RESOURCE_EXHAUSTED when the disk is full, with INTERNAL otherwise. */
	ask(request: Without<IngestRequest>): Promise<Answer>;
}

/** In the caller's own thread: for a few bytes, which a message to another thread costs more than, and the start of one far more. */
export class IngestHere implements Ingester {
	readonly #ingests = new OpenIngests();
	#lastId = 0;

	newIngest(): number {
		return ++this.#lastId;
	}

	async ask(request: Without<IngestRequest>): Promise<Answer> {
		return answerOf(this.#ingests.reply({...request, id: 0}));
	}
}

/** The ingest thread as the daemon's loop sees it. It starts with the first ingest, and keeps nobody alive while it is idle. */
export class IngestWorker implements Ingester, AsyncDisposable {
	#worker: Worker | undefined;
	#disposed = false;
	#lastId = 0;
	readonly #pending = new Map<number, Pending>();

	newIngest(): number {
		return ++this.#lastId;
	}

	async ask(request: Without<IngestRequest>): Promise<Answer> {
		if (this.#disposed) {
			throw new KeelsonError('UNAVAILABLE', 'content store is closed');
		}
		const worker = this.#worker ??= this.#start();
		const id = ++this.#lastId;
		const {promise, resolve, reject} = Promise.withResolvers<Answer>();
		this.#pending.set(id, {resolve, reject});
		worker.ref();
		worker.postMessage({...request, id});
		return promise;
	}

	/** Something will be asked soon: it starts meanwhile. */
	expect(): void {
		if (!this.#disposed && this.#worker === undefined) {
			this.#worker = this.#start();
			this.#worker.unref();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#disposed = true;
		await this.#worker?.terminate();
		this.#worker = undefined;
	}

	#start(): Worker {
		const worker = startBehind(new URL(import.meta.url.endsWith('.ts') ? './ingest-worker.ts' : './ingest-worker.js', import.meta.url), {name: 'content-ingest', resourceLimits: {maxYoungGenerationSizeMb: YOUNG_MEGABYTES}});
		worker.on('message', (reply: IngestReply) => {
			this.#settle(reply);
		});
		const fail = (cause: unknown): void => {
			if (this.#worker === worker) {
				this.#worker = undefined;
			}
			for (const [id, {reject}] of this.#pending) {
				this.#pending.delete(id);
				reject(new KeelsonError('INTERNAL', 'the ingest thread ended', {cause}));
			}
		};
		worker.on('error', fail);
		worker.on('exit', code => {
			fail(new Error(`exit code ${code}`));
		});
		return worker;
	}

	#settle(reply: IngestReply): void {
		const pending = this.#pending.get(reply.id);
		this.#pending.delete(reply.id);
		if (this.#pending.size === 0) {
			this.#worker?.unref();
		}
		try {
			pending?.resolve(answerOf(reply));
		} catch (error) {
			pending?.reject(error);
		}
	}
}

function answerOf(reply: IngestReply): Answer {
	if ('message' in reply) {
		const code: ErrorCode = reply.code === 'ENOSPC' || reply.code === 'EDQUOT' ? 'RESOURCE_EXHAUSTED' : 'INTERNAL';
		throw new KeelsonError(code, reply.message);
	}
	return reply;
}
