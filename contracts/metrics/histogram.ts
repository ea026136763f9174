import type {MetricSample} from './metrics.ts';

/** Upper bounds in seconds, as Prometheus's clients have them where nobody says otherwise. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** How often something took how long. */
export class Histogram {
	/** By the first bound that a time is not above; the last: above all. */
	readonly #times = new Float64Array(BOUNDS.length + 1);
	#seconds = 0;

	observe(seconds: number): void {
		const at = BOUNDS.findIndex(bound => seconds <= bound);
		const index = at === -1 ? BOUNDS.length : at;
		this.#times[index] = (this.#times[index] ?? 0) + 1;
		this.#seconds += seconds;
	}

	/** Of a family whose type is `histogram`; `le` comes after the labels. */
	*samples(labels: MetricSample['labels']): Generator<MetricSample, void, undefined> {
		let below = 0;
		for (const [index, bound] of [...BOUNDS, Infinity].entries()) {
			below += this.#times[index] ?? 0;
			yield {suffix: '_bucket', labels: [...labels, ['le', bound === Infinity ? '+Inf' : String(bound)]], value: below};
		}
		yield {suffix: '_sum', labels, value: this.#seconds};
		yield {suffix: '_count', labels, value: below};
	}
}
