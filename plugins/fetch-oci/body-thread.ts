import type {Worker} from 'node:worker_threads';
import {KeelsonError} from '../../kernel/errors.ts';
import {startBehind} from '../../lib/threads/quiet-worker.ts';
import type {BodyNews, BodyOrder, BodyThreadData} from './body-worker.ts';
import type {HttpResponse} from './http-client.ts';
import type {Trust} from './hosts.ts';
import {ThreadBody} from './thread-body.ts';

/** A GET whose answer is large. */
export interface LargeRequest {
	readonly url: URL;
	readonly headers: Readonly<Record<string, string>>;
	readonly headersTimeoutMs: number;
	/** Milliseconds without a byte after which the body counts as broken. */
	readonly stallTimeoutMs: number;
	readonly signal: AbortSignal | undefined;
}

interface Pending {
	readonly head: PromiseWithResolvers<HttpResponse>;
	readonly body: ThreadBody;
	readonly url: URL;
}

const IDLE_MS = 15_000;
/** Nothing lives in this thread but pieces on their way. */
const YOUNG_MEGABYTES = 2;

/** The thread for large answers as the event loop sees it: it starts with the first, and ends when it has been idle for some time. */
export class BodyThread implements AsyncDisposable {
	readonly #environment: BodyThreadData['environment'];
	readonly #pending = new Map<number, Pending>();
	#worker: Worker | undefined;
	#idle: NodeJS.Timeout | undefined;
	#lastId = 0;
	#isDisposed = false;

	constructor(environment: BodyThreadData['environment']) {
		this.#environment = environment;
	}

	/** Resolves with the head. Rejects with the network's own error, and with the signal's reason, as the body does. The caller reads, dumps or destroys the body. */
	async get({url, headers, headersTimeoutMs, stallTimeoutMs, signal}: LargeRequest, trust: Trust): Promise<HttpResponse> {
		signal?.throwIfAborted();
		if (this.#isDisposed) {
			throw new KeelsonError('UNAVAILABLE', 'the registry client is closed');
		}
		clearTimeout(this.#idle);
		const worker = this.#worker ??= this.#start();
		worker.ref();
		const id = ++this.#lastId;
		const tell = (order: BodyOrder): void => worker.postMessage(order);
		const abort = (): void => this.#fail(id, signal?.reason);
		const body = new ThreadBody({
			wasRead: piece => tell({id, kind: 'read', piece}),
			drop: () => tell({id, kind: 'drop'}),
			onEnd: () => {
				signal?.removeEventListener('abort', abort);
				this.#forget(id);
			},
		});
		const head = Promise.withResolvers<HttpResponse>();
		this.#pending.set(id, {head, body, url});
		signal?.addEventListener('abort', abort, {once: true});
		tell({id, kind: 'get', url: url.href, headers, trust, headersTimeoutMs, stallTimeoutMs});
		return head.promise;
	}

	/** A large answer will be asked for soon: the thread starts meanwhile, and connects. */
	expect({url, headers}: Pick<LargeRequest, 'url' | 'headers'>, trust: Trust): void {
		if (!this.#isDisposed && this.#pending.size === 0) {
			clearTimeout(this.#idle);
			this.#worker ??= this.#start();
			this.#worker.postMessage({kind: 'expect', url: url.href, headers, trust} satisfies BodyOrder);
			this.#rest();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isDisposed = true;
		clearTimeout(this.#idle);
		await this.#worker?.terminate();
	}

	#start(): Worker {
		const file = new URL(import.meta.url.endsWith('.ts') ? './body-worker.ts' : './body-worker.js', import.meta.url);
		const worker = startBehind(file, {workerData: {environment: {...this.#environment}} satisfies BodyThreadData, resourceLimits: {maxYoungGenerationSizeMb: YOUNG_MEGABYTES}});
		// Of each piece, by its number.
		const memory: SharedArrayBuffer[] = [];
		worker.on('message', (news: BodyNews) => {
			if (news.kind !== 'bytes') {
				this.#take(news);
				return;
			}
			const {id, piece: {number, offset, length, memory: told}} = news;
			const shared = memory[number] ??= told as SharedArrayBuffer;
			const body = this.#pending.get(id)?.body;
			if (body === undefined) {
				worker.postMessage({id, kind: 'read', piece: number} satisfies BodyOrder);
			} else {
				body.push({number, bytes: new Uint8Array(shared, offset, length)});
			}
		});
		const ended = (cause: unknown): void => {
			if (this.#worker === worker) {
				this.#worker = undefined;
				for (const id of this.#pending.keys()) {
					this.#fail(id, new KeelsonError('UNAVAILABLE', 'the thread for large answers ended', {cause}));
				}
			}
		};
		worker.on('error', ended);
		worker.on('exit', code => ended(new Error(`exit code ${code}`)));
		return worker;
	}

	#take(news: Exclude<BodyNews, {kind: 'bytes'}>): void {
		const {head, body, url} = this.#pending.get(news.id) ?? {};
		if (head === undefined || body === undefined || url === undefined) {
			return;
		}
		switch (news.kind) {
			case 'head': {
				head.resolve({statusCode: news.statusCode, headers: news.headers, url, body});
				break;
			}
			case 'end': {
				body.end();
				break;
			}
			case 'failed': {
				const error = new Error(news.message);
				head.reject(error);
				body.breakOff(error);
				break;
			}
		}
	}

	#fail(id: number, error: unknown): void {
		const pending = this.#pending.get(id);
		pending?.head.reject(error);
		pending?.body.fail(error);
	}

	#forget(id: number): void {
		if (this.#pending.delete(id) && this.#pending.size === 0) {
			this.#rest();
		}
	}

	#rest(): void {
		this.#worker?.unref();
		this.#idle = setTimeout(() => {
			const worker = this.#worker;
			this.#worker = undefined;
			void worker?.terminate();
		}, IDLE_MS).unref();
	}
}
