/**
 * Metrics: numbers about the daemon and what it runs, in Prometheus's terms (its text format, 0.0.4).
 *
 * A *family* has a name, a type and *samples*, each told from the others by its *labels*. A *source* is asked for its families when somebody
 * looks; whoever serves them (metrics-prometheus) asks all sources that there are.
 *
 *     container_memory_rss_bytes{container_id="web",namespace="default",runtime="io.containerd.runc.v2"} 1.048576e+06
 *     └────────── family ───────┘└──────────────────────────── labels ─────────────────────────────────┘ value
 *
 * The values of a label are bounded by what this daemon has (its methods, its containers), never by what a client says.
 */

import {contract} from '../../kernel/contract.ts';

export interface MetricSample {
	/** Follows the family's name: `_bucket`, `_sum` and `_count` of a histogram; otherwise left out. */
	readonly suffix?: string;
	/** Names and values, in the order in which they are written. */
	readonly labels: readonly (readonly [name: string, value: string])[];
	readonly value: number;
}

export interface MetricFamily {
	readonly name: string;
	readonly help: string;
	readonly type: 'counter' | 'gauge' | 'histogram';
	/** May be made while they are read, and may be read again. */
	readonly samples: Iterable<MetricSample>;
}

export interface MetricSource {
	/** All families as of now, each name once. Rejects with the signal's reason; what cannot be known in time is left out. */
	collect(signal: AbortSignal): Promise<readonly MetricFamily[]>;
}

export const MetricSource = contract('io.containerd.metrics.v1').for<MetricSource>();
