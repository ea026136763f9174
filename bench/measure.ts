/** The value below which `share` of the samples lie. */
export function percentile(samples: readonly number[], share: number): number {
	const sorted = samples.toSorted((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
	return percentile(samples, 0.5);
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
	const began = performance.now();
	await work();
	return performance.now() - began;
}

export type Direction = 'time' | 'throughput';

/**
 * Prints a measure for a person and for a program: `bench: <measure> <ours> <peer> <ratio> <target or ->`. The ratio is ours to the
 * peer's in time and memory, the peer's to ours in throughput: smaller is better.
 */
export function report(measure: string, {ours, peer, unit, direction = 'time', target}: {ours: number; peer: number; unit: string; direction?: Direction; target?: number}): void {
	const ratio = direction === 'time' ? ours / peer : peer / ours;
	console.log(`  ${measure.padEnd(34)} keelson ${format(ours)} ${unit}   containerd ${format(peer)} ${unit}   ratio ${ratio.toFixed(2)}`);
	console.log(`bench: ${measure} ${format(ours)} ${format(peer)} ${ratio.toFixed(3)} ${target === undefined ? '-' : String(target)}`);
}

/** The same for a measure that has a limit of its own, and no peer: the ratio is to the limit. */
export function reportLimit(measure: string, {ours, limit, unit}: {ours: number; limit: number; unit: string}): void {
	console.log(`  ${measure.padEnd(34)} keelson ${format(ours)} ${unit}   limit ${format(limit)} ${unit}`);
	console.log(`bench: ${measure} ${format(ours)} ${format(limit)} ${(ours / limit).toFixed(3)} 1`);
}

function format(value: number): string {
	return value.toFixed(value >= 100 ? 0 : value >= 1 ? 2 : 3);
}
