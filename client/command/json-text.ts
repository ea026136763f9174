/** A value as JSON: numbers of 64 bits as numbers where they fit, times as RFC 3339, bytes as base64. */
export function jsonText(value: unknown): string {
	return JSON.stringify(plain(value));
}

function plain(value: unknown): unknown {
	if (typeof value === 'bigint') {
		return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
	}
	if (typeof value !== 'object' || value === null) {
		return value;
	}
	if (value instanceof Date) {
		return value.toISOString();
	}
	if (value instanceof Uint8Array) {
		return Buffer.from(value).toString('base64');
	}
	if (Array.isArray(value)) {
		return value.map(plain);
	}
	const {seconds, nanos} = value as {readonly seconds?: unknown; readonly nanos?: unknown};
	if (typeof seconds === 'bigint' && typeof nanos === 'number') {
		return new Date(Number(seconds) * 1000 + nanos / 1e6).toISOString();
	}
	return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}
