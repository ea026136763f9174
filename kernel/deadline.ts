/**
 * Waits for `work` at most `timeoutMs`. Rejects with what `late` makes when time is up or `signal` aborts; the work goes on,
 * and how it ends is then nobody's business.
 */
export async function within<T>(work: T | PromiseLike<T>, timeoutMs: number, late: () => Error | Promise<Error>, signal?: AbortSignal): Promise<T> {
	const {promise, reject} = Promise.withResolvers<never>();
	const timer = setTimeout(() => void (async () => late())().then(reject, reject), timeoutMs);
	const onAbort = (): void => reject(signal?.reason);
	if (signal?.aborted === true) {
		onAbort();
	}
	signal?.addEventListener('abort', onAbort, {once: true});
	try {
		return await Promise.race([work, promise]);
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener('abort', onAbort);
	}
}
