import {Metrics as MetricsV1} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import {Metrics as MetricsV2} from '../../api/gen/cgroups/cgroup2/metrics.ts';
import type {ContainerInfo, NamespaceInfo} from '../../contracts/metadata/metadata.ts';
import type {MetricFamily, MetricSample, MetricSource} from '../../contracts/metrics/metrics.ts';
import type {Tasks} from '../../contracts/task/task.ts';
import type {Logger} from '../../kernel/log.ts';
import {familiesV1, familiesV2, type CgroupFamily} from './families.ts';

type Labels = MetricSample['labels'];

/** A container's numbers, decoded once, and by what they are told from those of others. */
interface Measured<Stats> {
	readonly stats: Stats;
	readonly labels: Labels;
}

/** What is asked of the task manager and of the metadata. */
export interface CgroupMetricsParts {
	readonly manager: {tasks(namespace: string): Pick<Tasks, 'metrics'>};
	readonly metadata: {
		readonly namespaces: {list(): Promise<readonly Pick<NamespaceInfo, 'name'>[]>};
		scope(options: {readonly namespace: string}): {readonly containers: {get(id: string): Promise<Pick<ContainerInfo, 'runtime'>>}};
	};
	readonly log: Pick<Logger, 'debug'>;
}

/** What the control groups of running containers say, asked of their shims when somebody looks. A container whose shim does not answer in time is left out. */
export class CgroupMetrics implements MetricSource {
	readonly #parts: CgroupMetricsParts;

	constructor(parts: CgroupMetricsParts) {
		this.#parts = parts;
	}

	async collect(signal: AbortSignal): Promise<readonly MetricFamily[]> {
		signal.throwIfAborted();
		const first: Measured<MetricsV1>[] = [];
		const second: Measured<MetricsV2>[] = [];
		const namespaces = await this.#parts.metadata.namespaces.list();
		await Promise.all(namespaces.map(async ({name}) => this.#measure(name, {first, second}, signal)));
		signal.throwIfAborted();
		return merged([...familiesOf(familiesV1, first), ...familiesOf(familiesV2, second)]);
	}

	async #measure(namespace: string, {first, second}: {readonly first: Measured<MetricsV1>[]; readonly second: Measured<MetricsV2>[]}, signal: AbortSignal): Promise<void> {
		const {containers} = this.#parts.metadata.scope({namespace});
		for (const {id, data} of await this.#parts.manager.tasks(namespace).metrics([], signal)) {
			try {
				const {runtime} = await containers.get(id);
				const labels: Labels = [['container_id', id], ['namespace', namespace], ['runtime', runtime.name]];
				if (data.typeUrl.endsWith('io.containerd.cgroups.v1.Metrics')) {
					first.push({stats: MetricsV1.decode(data.value), labels});
				} else if (data.typeUrl.endsWith('io.containerd.cgroups.v2.Metrics')) {
					second.push({stats: MetricsV2.decode(data.value), labels});
				}
			} catch (error) {
				// It went meanwhile, or its shim is not of this world.
				this.#parts.log.debug('a container has no metrics', {namespace, container: id, error});
			}
		}
	}
}

function familiesOf<Stats>(families: readonly CgroupFamily<Stats>[], measured: readonly Measured<Stats>[]): readonly MetricFamily[] {
	return measured.length === 0 ? [] : families.map(({name, help, type = 'gauge', read}) => ({
		name: `container_${name}`, help, type,
		samples: {*[Symbol.iterator](): Generator<MetricSample, void, undefined> {
			for (const {stats, labels} of measured) {
				const reading = read(stats);
				if (typeof reading === 'bigint') {
					yield {labels, value: Number(reading)};
				} else {
					for (const {labels: more, value} of reading ?? []) {
						yield {labels: [...labels, ...more], value: Number(value)};
					}
				}
			}
		}},
	}));
}

// One name, one family: a shim of another make may say v2 where the others say v1.
function merged(families: readonly MetricFamily[]): readonly MetricFamily[] {
	const byName = new Map<string, MetricFamily>();
	for (const family of families) {
		const other = byName.get(family.name);
		byName.set(family.name, other === undefined ? family : {...other, samples: {*[Symbol.iterator]() {
			yield* other.samples;
			yield* family.samples;
		}}});
	}
	return [...byName.values()];
}
