/** What a call's headers say, but for what HTTP and gRPC need themselves. */
export interface RequestHeaders {
	/** Text headers, the first value of each name; binary ones mean nothing to handlers. */
	readonly headers: ReadonlyMap<string, string>;
	/** How long the client waits, in milliseconds; undefined: as long as it takes. */
	readonly timeoutMs: number | undefined;
}

/** @param raw names, in lower case, and values in turn, as they came */
export function readHeaders(raw: readonly string[]): RequestHeaders {
	const headers = new Map<string, string>();
	for (let index = 0; index + 1 < raw.length; index += 2) {
		const name = raw[index] ?? '';
		// containerd's clients put a namespace or a lease before those that the call had already.
		if (!name.startsWith(':') && !name.endsWith('-bin') && !headers.has(name)) {
			headers.set(name, raw[index + 1] ?? '');
		}
	}
	return {headers, timeoutMs: parseTimeout(headers.get('grpc-timeout'))};
}

const UNIT_MS: Readonly<Record<string, number>> = {H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6};

/** What a timer can hold. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/** The `grpc-timeout` header (gRPC over HTTP2, Timeout) in milliseconds; undefined for one that is missing or malformed. */
export function parseTimeout(text: string | undefined): number | undefined {
	const {digits, unit} = /^(?<digits>\d{1,8})(?<unit>[HMSmun])$/.exec(text ?? '')?.groups ?? {};
	return digits === undefined || unit === undefined ? undefined : Math.min(Number(digits) * (UNIT_MS[unit] ?? 0), TIMEOUT_MAX_MS);
}

/** A status message as a header may hold it (gRPC over HTTP2, Percent-Encoded). `text` must be well formed. */
export function percentEncode(text: string): string {
	return text.replace(/[^ -$&-~]+/gu, characters => encodeURIComponent(characters));
}
