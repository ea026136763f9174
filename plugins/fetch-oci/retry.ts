const RETRY_AFTER_MAX_MS = 30_000;
const BACK_OFF_MS = 100;

/** Statuses that may be others the next time. */
export function isPassing(status: number): boolean {
	return status === 408 || status === 429 || (status >= 500 && status !== 501);
}

/**
 * Milliseconds until the next attempt: what `Retry-After` says (RFC 9110, section 10.2.3: seconds or a date), else twice as long as before, with some chance in
 * it, so that the layers of a pull do not all come back at once. Undefined when the server wants to be left alone for longer than anybody would wait.
 */
export function retryDelayMs(attempt: number, retryAfter = ''): number | undefined {
	const asked = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now();
	if (Number.isNaN(asked)) {
		return BACK_OFF_MS * 2 ** attempt * (0.75 + Math.random() / 2);
	}
	return asked > RETRY_AFTER_MAX_MS ? undefined : Math.max(0, asked);
}
