import type {Digest} from '../../../contracts/oci/digest.ts';

/** Keeps the collector from removing a blob of the bare store while a request is about to give it a row, and the request from trusting one that is going. */
export class BlobGuard {
	readonly #held = new Map<Digest | undefined, number>();
	readonly #removals = new Map<Digest, Promise<unknown>>();

	/** Resolves once no removal of `digest` is under way (of any blob, when it is not known yet); none begins until what it answers is disposed. */
	async hold(digest: Digest | undefined): Promise<Disposable> {
		this.#held.set(digest, (this.#held.get(digest) ?? 0) + 1);
		const running = [...this.#removals].filter(([removed]) => digest === undefined || removed === digest).map(([, removal]) => removal);
		await Promise.allSettled(running);
		return {
			[Symbol.dispose]: () => {
				const count = (this.#held.get(digest) ?? 1) - 1;
				if (count === 0) {
					this.#held.delete(digest);
				} else {
					this.#held.set(digest, count);
				}
			},
		};
	}

	/** Runs `work` unless `digest` is held; answers whether it ran. Whether the blob may go is decided right before, in the same turn. */
	async remove(digest: Digest, work: () => Promise<void>): Promise<boolean> {
		if (this.#held.has(digest) || this.#held.has(undefined)) {
			return false;
		}
		const removal = work();
		this.#removals.set(digest, removal);
		try {
			await removal;
			return true;
		} finally {
			this.#removals.delete(digest);
		}
	}
}
