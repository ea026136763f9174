import type {GrowingFile} from '../../contracts/content/content.ts';
import {untilAborted} from '../../lib/abort/until-aborted.ts';

/** Opens what has come so far; undefined when it lies in no file, or all has come meanwhile. */
export type Follow = () => Promise<GrowingFile | undefined>;

/** Blobs that are being fetched, by whichever transfer, for all that want their bytes as they come. */
export class Downloads {
	readonly #active = new Map<string, Follow>();
	readonly #waiting = new Map<string, PromiseWithResolvers<Follow> & {users: number}>();

	/** Until it is disposed, the blob of this key can be followed. There is one download of a key at a time. */
	begin(key: string, follow: Follow): Disposable {
		this.#active.set(key, follow);
		this.#waiting.get(key)?.resolve(follow);
		this.#waiting.delete(key);
		return {[Symbol.dispose]: () => this.#active.delete(key)};
	}

	/** Resolves once a download of the key is under way. Rejects with the signal's reason. */
	async begun(key: string, signal: AbortSignal): Promise<Follow> {
		const active = this.#active.get(key);
		if (active !== undefined) {
			return active;
		}
		const waiting = this.#waiting.get(key) ?? {...Promise.withResolvers<Follow>(), users: 0};
		this.#waiting.set(key, waiting);
		waiting.users++;
		try {
			return await untilAborted(waiting.promise, signal);
		} finally {
			if (--waiting.users === 0 && this.#waiting.get(key) === waiting) {
				this.#waiting.delete(key);
			}
		}
	}
}
