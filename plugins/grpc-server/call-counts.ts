import {performance} from 'node:perf_hooks';
import type {Method} from '../../contracts/grpc/grpc.ts';
import {Histogram} from '../../contracts/metrics/histogram.ts';
import type {MetricFamily, MetricSample, MetricSource} from '../../contracts/metrics/metrics.ts';

/** By the number that a code has on the wire; the names are those of Go's gRPC. */
const CODES = [
	'OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists', 'PermissionDenied', 'ResourceExhausted', 'FailedPrecondition',
	'Aborted', 'OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated',
] as const;

const TYPES = {unary: 'unary', 'server-stream': 'server_stream', 'client-stream': 'client_stream', bidi: 'bidi_stream'} as const satisfies Record<Method['kind'], string>;

/** What was counted of one method since the daemon's start. */
export class MethodCounts {
	started = 0;
	received = 0;
	sent = 0;
	readonly labels: MetricSample['labels'];
	readonly #handled = new Float64Array(CODES.length);
	readonly #times: Histogram | undefined;

	constructor(service: string, {name, kind}: Pick<Method, 'name' | 'kind'>, hasTimes: boolean) {
		this.labels = [['grpc_method', name], ['grpc_service', service], ['grpc_type', TYPES[kind]]];
		this.#times = hasTimes ? new Histogram() : undefined;
	}

	/** @param start what `performance.now()` said when the call came */
	handled(code: number, start: number): void {
		this.#handled[code] = (this.#handled[code] ?? 0) + 1;
		this.#times?.observe((performance.now() - start) / 1000);
	}

	*byCode(): Generator<MetricSample, void, undefined> {
		for (const [code, name] of CODES.entries()) {
			yield {labels: [['grpc_code', name], ...this.labels], value: this.#handled[code] ?? 0};
		}
	}

	byTime(): readonly MetricSample[] {
		return [...this.#times?.samples(this.labels) ?? []];
	}
}

/** Counts the calls of each method that is served, under the names that containerd's dashboards read. What no method has is not counted. */
export class CallCounts implements MetricSource {
	readonly #methods = new Map<string, MethodCounts>();
	readonly #hasTimes: boolean;

	/** @param hasTimes also a histogram of how long calls took */
	constructor({hasTimes = false}: {readonly hasTimes?: boolean} = {}) {
		this.#hasTimes = hasTimes;
	}

	/** The same counts for the same method, over whichever listener its calls come. */
	method(service: string, method: Pick<Method, 'name' | 'kind'>): MethodCounts {
		const path = `/${service}/${method.name}`;
		const counts = this.#methods.get(path) ?? new MethodCounts(service, method, this.#hasTimes);
		this.#methods.set(path, counts);
		return counts;
	}

	async collect(signal: AbortSignal): Promise<readonly MetricFamily[]> {
		signal.throwIfAborted();
		const methods = [...this.#methods.values()];
		const one = (count: 'started' | 'received' | 'sent'): readonly MetricSample[] => methods.map(({labels, [count]: value}) => ({labels, value}));
		const families: MetricFamily[] = [
			{name: 'grpc_server_started_total', help: 'Calls that began.', type: 'counter', samples: one('started')},
			{name: 'grpc_server_handled_total', help: 'Calls that ended, by the code they ended with.', type: 'counter', samples: methods.flatMap(method => [...method.byCode()])},
			{name: 'grpc_server_msg_received_total', help: 'Messages that came from clients.', type: 'counter', samples: one('received')},
			{name: 'grpc_server_msg_sent_total', help: 'Messages that went to clients.', type: 'counter', samples: one('sent')},
		];
		return this.#hasTimes
			? [...families, {name: 'grpc_server_handling_seconds', help: 'Time from the beginning of a call to its end.', type: 'histogram', samples: methods.flatMap(method => method.byTime())}]
			: families;
	}
}
