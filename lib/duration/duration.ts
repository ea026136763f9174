const UNITS: Readonly<Record<string, number>> = {ns: 1e-6, us: 1e-3, 'µs': 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000};

/** Milliseconds of a duration as Go writes it (`1h30m`, `100ms`, `0`); undefined when it is none. */
export function parseDuration(text: string): number | undefined {
	if (text === '0') {
		return 0;
	}
	if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) {
		return undefined;
	}
	return [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
		.reduce((sum, [, count = '0', unit = 'ms']) => sum + Number(count) * (UNITS[unit] ?? 0), 0);
}
