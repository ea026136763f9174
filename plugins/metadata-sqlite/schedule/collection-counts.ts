import {Histogram} from '../../../contracts/metrics/histogram.ts';
import type {MetricFamily, MetricSource} from '../../../contracts/metrics/metrics.ts';

const OUTCOMES = ['success', 'fail'] as const;

/** Counts collections, under the names that containerd's dashboards read. */
export class CollectionCounts implements MetricSource {
	readonly #ended = {success: 0, fail: 0};
	readonly #times = new Histogram();

	succeeded(durationMs: number): void {
		this.#ended.success++;
		this.#times.observe(durationMs / 1000);
	}

	failed(): void {
		this.#ended.fail++;
	}

	async collect(signal: AbortSignal): Promise<readonly MetricFamily[]> {
		signal.throwIfAborted();
		return [
			{name: 'containerd_gc_collections_total', help: 'Collections of garbage, by how they ended.', type: 'counter', samples: OUTCOMES.map(status => ({labels: [['status', status]], value: this.#ended[status]}))},
			{name: 'containerd_gc_gc_seconds', help: 'Time that a collection of garbage took.', type: 'histogram', samples: [...this.#times.samples([])]},
		];
	}
}
