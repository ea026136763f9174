import {createHash} from 'node:crypto';
import {WriteAction, type WriteContentRequest, type WriteContentResponse} from '../../api/gen/services/content/v1/content.ts';
import type {Client} from '../../client/index.ts';

type Request = Partial<WriteContentRequest>;

export const digestOf = (data: string | Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

/** Sends bytes under a ref, and commits them where a digest is told. */
export async function write(client: Client, ref: string, data: string | Uint8Array, {digest, lease, offset = 0}: {readonly digest?: string; readonly lease?: string; readonly offset?: number} = {}): Promise<readonly WriteContentResponse[]> {
	const bytes = Buffer.from(data);
	const end = BigInt(offset + bytes.length);
	const requests: Request[] = [
		{action: WriteAction.WRITE, ref, offset: BigInt(offset), data: bytes},
		...digest === undefined ? [] : [{action: WriteAction.COMMIT, ref, offset: end, total: end, expected: digest}],
	];
	return ask(client, requests, lease === undefined ? {} : {lease});
}

/** All answers to requests of one write. */
export async function ask(client: Client, requests: readonly Request[], call: {readonly lease?: string} = {}): Promise<readonly WriteContentResponse[]> {
	const answers: WriteContentResponse[] = [];
	for await (const answer of client.services.content.write((async function* () {
		yield* requests;
	})(), call)) {
		answers.push(answer);
	}
	return answers;
}

/** A write whose client sends one request at a time, and stays. */
export class OpenWrite implements AsyncDisposable {
	readonly #inbox: Request[] = [];
	readonly #stop = new AbortController();
	readonly #answers: AsyncGenerator<WriteContentResponse, void, undefined>;
	#wake = (): void => undefined;
	#isOver = false;

	constructor(client: Client, call: {readonly lease?: string} = {}) {
		this.#answers = client.services.content.write(this.#requests(), {...call, signal: this.#stop.signal});
	}

	/** Resolves with the answer. Rejects with what ended the write. */
	async ask(request: Request): Promise<WriteContentResponse | undefined> {
		this.#inbox.push(request);
		this.#wake();
		const {value} = await this.#answers.next();
		return value ?? undefined;
	}

	/** The client vanishes. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#isOver = true;
		this.#wake();
		this.#stop.abort();
		await this.#answers.return().catch(() => undefined);
	}

	async *#requests(): AsyncGenerator<Request, void, undefined> {
		while (!this.#isOver) {
			for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
				yield next;
			}
			const {promise, resolve} = Promise.withResolvers<void>();
			this.#wake = resolve;
			await promise;
		}
	}
}
