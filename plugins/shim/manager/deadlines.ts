/** Milliseconds that calls may take. */
export interface Deadlines {
	readonly load: number;
	readonly cleanup: number;
	readonly shutdown: number;
	readonly state: number;
	/** Of everything else; hooks and slow disks take their time within it. */
	readonly call: number;
}

/** Reads the daemon's `timeouts` table: containerd's names, Go's durations. What is missing or no duration has containerd's default. */
export function deadlinesFrom(timeouts: unknown): Deadlines {
	const table = typeof timeouts === 'object' && timeouts !== null ? timeouts as Readonly<Record<string, unknown>> : {};
	const of = (name: string, defaultMs: number): number => parseDuration(table[`io.containerd.timeout.${name}`]) ?? defaultMs;
	return {
		load: of('shim.load', 5000), cleanup: of('shim.cleanup', 5000), shutdown: of('shim.shutdown', 3000), state: of('task.state', 2000), call: 120_000,
	};
}

const unitMs: Readonly<Record<string, number>> = {h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6};

/** A duration as Go writes it (`1m30s`), in milliseconds; undefined for anything else. */
export function parseDuration(text: unknown): number | undefined {
	if (typeof text !== 'string' || !/^(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+$/.test(text)) {
		return undefined;
	}
	let sum = 0;
	for (const [, number = '0', unit = 's'] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)) {
		sum += Number(number) * (unitMs[unit] ?? 0);
	}
	return sum;
}
