import test from 'ava';
import {Metrics as MetricsV1} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import {Metrics as MetricsV2} from '../../api/gen/cgroups/cgroup2/metrics.ts';
import {VersionDefinition} from '../../api/gen/services/version/v1/version.ts';
import {grpcService} from '../../contracts/grpc/grpc.ts';
import {metricsSuite} from '../../contracts/metrics/metrics.suite.ts';
import type {MetricFamily, MetricSource} from '../../contracts/metrics/metrics.ts';
import type {Any} from '../../contracts/oci/any.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {CallCounts} from '../../plugins/grpc-server/call-counts.ts';
import {versionService} from '../../plugins/grpc-version/service.ts';
import {CgroupMetrics} from '../../plugins/metrics-cgroups/cgroup-metrics.ts';
import {exposition} from '../../plugins/metrics-prometheus/exposition.ts';
import {ShimMetrics} from '../../plugins/shim/manager/shim-metrics.ts';
import {ProcessMetrics} from '../../plugins/metrics-prometheus/process-metrics.ts';
import {Scrape} from '../../plugins/metrics-prometheus/scrape.ts';
import {readExposition} from '../helpers/exposition.ts';
import {GrpcRoom} from '../helpers/grpc-room.ts';

/** Containers of two namespaces whose shims say this; no machine here has cgroup v2 alone. */
function cgroupMetrics(stats: Readonly<Record<string, Readonly<Record<string, Any>>>>): CgroupMetrics {
	const manager = {tasks: (namespace: string) => ({
		metrics: async () => Object.entries(stats[namespace] ?? {}).map(([id, data]) => ({id, timestamp: new Date(0), data})),
	})};
	const metadata = {
		namespaces: {list: async () => Object.keys(stats).map(name => ({name, labels: {}}))},
		scope: () => ({containers: {async get(id: string) {
			if (id === 'gone') {
				throw new KeelsonError('NOT_FOUND', 'container gone');
			}
			return {runtime: {name: 'io.containerd.runc.v2'}};
		}}}),
	};
	// No more of the contracts than what is asked.
	return new CgroupMetrics({manager, metadata, log: {debug: () => undefined}});
}

const v1 = (partial: Parameters<typeof MetricsV1.fromPartial>[0]): Any => ({typeUrl: 'io.containerd.cgroups.v1.Metrics', value: MetricsV1.encode(MetricsV1.fromPartial(partial)).finish()});
const v2 = (partial: Parameters<typeof MetricsV2.fromPartial>[0]): Any => ({typeUrl: 'io.containerd.cgroups.v2.Metrics', value: MetricsV2.encode(MetricsV2.fromPartial(partial)).finish()});
const block = [{op: 'Read', device: '/dev/vda', major: 254n, minor: 0n, value: 7n}];
const whole = {
	a: {
		one: v1({pids: {current: 3n, limit: 9n}, cpu: {usage: {total: 5n, perCpu: [2n, 3n]}}, memory: {cache: 1n, usage: {usage: 4n}}, memoryOomControl: {oomKill: 2n}, hugetlb: [{pagesize: '2MB', usage: 6n}], blkio: {ioServicedRecursive: block}}),
		gone: v1({pids: {current: 1n}}),
	},
	b: {two: v2({pids: {current: 8n}, cpu: {usageUsec: 11n}, memory: {anon: 12n, usageLimit: 2n ** 64n - 1n}, memoryEvents: {oom: 13n}, io: {usage: [{major: 8n, minor: 1n, rbytes: 14n}]}})},
};

const closed = (source: MetricSource) => ({source, [Symbol.asyncDispose]: async () => undefined});
metricsSuite(test, {name: 'process', open: async () => closed(new ProcessMetrics({version: '1', revision: ''}))});
metricsSuite(test, {name: 'shims', open: async () => closed(new ShimMetrics({
	shims: async () => (['quarantined', 'healthy'] as const).map(state => ({state, address: {version: 2, address: `unix:///${state}`, protocol: 'ttrpc'}})),
}))});
metricsSuite(test, {name: 'cgroups', open: async () => closed(cgroupMetrics(whole))});
metricsSuite(test, {name: 'calls', async open() {
	const source = new CallCounts({hasTimes: true});
	const room = await GrpcRoom.open([versionService({version: '1', revision: ''})], {counts: source});
	await room.client.unary(VersionDefinition.fullName, VersionDefinition.methods.version, {});
	return {source, [Symbol.asyncDispose]: () => room[Symbol.asyncDispose]()};
}});

async function textOf(source: MetricSource): Promise<string> {
	return [...exposition(await source.collect(AbortSignal.timeout(10_000)))].join('');
}

test('control groups of either version are told under containerd\'s names, each container by its labels', async t => {
	const families = readExposition(await textOf(cgroupMetrics(whole)));
	const [one, two] = ['container_id="one",namespace="a",runtime="io.containerd.runc.v2"', 'container_id="two",namespace="b",runtime="io.containerd.runc.v2"'];
	const expected: Readonly<Record<string, Readonly<Record<string, number>>>> = {
		container_pids_current: {[one]: 3, [two]: 8},
		container_cpu_total_nanoseconds: {[one]: 5},
		container_per_cpu_nanoseconds: {[`${one},cpu="0"`]: 2, [`${one},cpu="1"`]: 3},
		container_memory_cache_bytes: {[one]: 1},
		container_memory_usage_usage_bytes: {[one]: 4},
		container_memory_oom_total: {[one]: 2, [two]: 13},
		container_hugetlb_usage_bytes: {[`${one},page="2MB"`]: 6},
		container_blkio_io_serviced_recursive_total: {[`${one},device="/dev/vda",major="254",minor="0",op="Read"`]: 7},
		container_cpu_usage_usec_microseconds: {[two]: 11},
		container_memory_anon_bytes: {[two]: 12},
		container_memory_usage_limit_bytes: {[one]: 0, [two]: 2 ** 64},
		container_io_rbytes_bytes: {[`${two},major="8",minor="1"`]: 14},
	};
	for (const [name, values] of Object.entries(expected)) {
		t.deepEqual(Object.fromEntries(families.get(name)?.values ?? []), Object.fromEntries(Object.entries(values).map(([labels, value]) => [`${name}{${labels}}`, value])), name);
	}
	t.false([...families.values()].some(({values}) => [...values.keys()].some(key => key.includes('gone'))));
	t.is(await textOf(cgroupMetrics({a: {}})), '');
});

test('calls are counted as they begin and as they end, with their messages and times', async t => {
	const counts = new CallCounts({hasTimes: true});
	const {version} = VersionDefinition.methods;
	const streams = {...version, name: 'Streams', responseStream: true} as const;
	await using room = await GrpcRoom.open([versionService({version: '1', revision: ''}), grpcService({fullName: 'x.Y', methods: {fails: {...version, name: 'Fails'}, streams}}, {
		async fails() {
			throw new KeelsonError('NOT_FOUND', 'no');
		},
		async *streams() {
			yield {version: '1', revision: ''};
			yield {version: '2', revision: ''};
		},
	})], {counts});
	await room.client.unary(VersionDefinition.fullName, version, {});
	await room.client.unary(VersionDefinition.fullName, version, {});
	await t.throwsAsync(room.client.unary('x.Y', {...version, name: 'Fails'}, {}), {code: 'NOT_FOUND'});
	// A method that nobody serves is counted nowhere: a client cannot make labels.
	await t.throwsAsync(room.client.unary('x.Y', {...version, name: 'Nowhere'}, {}), {code: 'UNIMPLEMENTED'});
	for await (const _ of room.client.stream('x.Y', streams, {})) {
		// Counted is what was sent.
	}
	const text = await textOf(counts);
	const families = readExposition(text);
	const valueOf = (family: string, labels: string, suffix = ''): number | undefined => families.get(family)?.values.get(`${family}${suffix}{${labels}}`);
	const [asked, failing, streaming] = ['grpc_method="Version",grpc_service="containerd.services.version.v1.Version",grpc_type="unary"', 'grpc_method="Fails",grpc_service="x.Y",grpc_type="unary"', 'grpc_method="Streams",grpc_service="x.Y",grpc_type="server_stream"'];
	t.is(valueOf('grpc_server_started_total', asked), 2);
	t.is(valueOf('grpc_server_handled_total', `grpc_code="OK",${asked}`), 2);
	t.is(valueOf('grpc_server_handled_total', `grpc_code="Canceled",${asked}`), 0);
	t.is(valueOf('grpc_server_handled_total', `grpc_code="NotFound",${failing}`), 1);
	t.is(valueOf('grpc_server_msg_received_total', streaming), 1);
	t.is(valueOf('grpc_server_msg_sent_total', streaming), 2);
	t.is(valueOf('grpc_server_msg_sent_total', failing), 0);
	t.is(valueOf('grpc_server_handling_seconds', asked, '_count'), 2);
	t.is(valueOf('grpc_server_handling_seconds', `${asked},le="+Inf"`, '_bucket'), 2);
	t.false(text.includes('Nowhere'));
	t.deepEqual((await new CallCounts().collect(AbortSignal.timeout(1000))).map(({name}) => name).filter(name => name.includes('seconds')), []);
});

test('a source that fails or hangs keeps no other from being told, and who comes meanwhile gets the same answer', async t => {
	const family = (name: string): MetricFamily => ({name, help: 'A number.', type: 'gauge', samples: [{labels: [['a', 'q"\\\n']], value: Infinity}]});
	const warned: unknown[] = [];
	let asked = 0;
	const scrape = new Scrape(new Map<string, MetricSource>([
		['good', {async collect() {
			asked++;
			await new Promise(resolve => setTimeout(resolve, 20));
			return [family('good')];
		}}],
		['bad', {async collect() {
			throw new KeelsonError('UNAVAILABLE', 'nobody is there');
		}}],
		['second', {collect: async () => [family('good')]}],
		['hangs', {collect: async () => new Promise(() => {})}],
	]), {warn: (_, fields) => warned.push(fields?.['source'])}, 100);
	const [one, two] = await Promise.all([scrape.families(), scrape.families()]);
	t.is(one, two);
	t.is(asked, 1);
	t.deepEqual(warned.map(String).toSorted(), ['bad', 'hangs']);
	t.is([...exposition(one)].join(''), '# HELP good A number.\n# TYPE good gauge\ngood{a="q\\"\\\\\\n"} +Inf\n');
});
