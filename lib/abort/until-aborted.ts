/** The promise's outcome, or the signal's reason if that comes first. Leaves no listener behind; the promise itself goes on. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	// Whoever loses the race must not count as unhandled.
	promise.catch(() => undefined);
	signal.throwIfAborted();
	const {promise: aborted, reject} = Promise.withResolvers<never>();
	const listener = (): void => {
		reject(signal.reason);
	};
	signal.addEventListener('abort', listener, {once: true});
	try {
		return await Promise.race([promise, aborted]);
	} finally {
		signal.removeEventListener('abort', listener);
	}
}
