import type {TransferProgress} from './progress-stream.ts';

/** So much news waits to be taken; then the oldest is dropped: what comes later says more. */
const WAITING_MAX = 1024;

/** What work tells by a callback, as an iteration that ends with the work's result. Leaving it early aborts the work. */
export async function* told<T>(work: (onProgress: (progress: TransferProgress) => void, signal: AbortSignal) => Promise<T>): AsyncGenerator<TransferProgress, T, undefined> {
	const stop = new AbortController();
	const news = {waiting: new Array<TransferProgress>(), isOver: false, wake: (): void => undefined};
	const {waiting} = news;
	const working = work(progress => {
		waiting.push(progress);
		if (waiting.length > WAITING_MAX) {
			waiting.shift();
		}
		news.wake();
	}, stop.signal).finally(() => {
		news.isOver = true;
		news.wake();
	});
	// Whoever leaves early is not told how it ended.
	working.catch(() => undefined);
	try {
		while (!news.isOver || waiting.length > 0) {
			const next = waiting.shift();
			if (next !== undefined) {
				yield next;
				continue;
			}
			const {promise, resolve} = Promise.withResolvers<void>();
			news.wake = resolve;
			if (!news.isOver) {
				await promise;
			}
		}
		return await working;
	} finally {
		stop.abort();
		await working.catch(() => undefined);
	}
}
