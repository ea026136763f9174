/** Does `work` for every item, at most `concurrency` at once. The first failure aborts the others, which are waited for. */
export async function forEachLimited<T>(items: readonly T[], {concurrency, signal}: {concurrency: number; signal: AbortSignal}, work: (item: T, signal: AbortSignal) => Promise<void>): Promise<void> {
	const failing = new AbortController();
	const inner = AbortSignal.any([signal, failing.signal]);
	const queue = items.values();
	const failures: unknown[] = [];
	const worker = async (): Promise<void> => {
		for (const item of queue) {
			try {
				inner.throwIfAborted();
				await work(item, inner);
			} catch (error) {
				failures.push(error);
				failing.abort(error);
				return;
			}
		}
	};
	await Promise.all(Array.from({length: Math.min(concurrency, items.length)}, worker));
	if (failures.length > 0) {
		throw failures[0];
	}
}
