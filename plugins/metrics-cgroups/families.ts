import type {Metrics as MetricsV1} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import type {Metrics as MetricsV2} from '../../api/gen/cgroups/cgroup2/metrics.ts';
import {blockFamilies} from './families-block.ts';
import {memoryV1, memoryV2} from './families-memory.ts';

type Labels = readonly (readonly [name: string, value: string])[];

/** What a family has of one container: a number, or one for each value of labels of its own; undefined: nothing. */
export type Reading = bigint | undefined | readonly {readonly labels: Labels; readonly value: bigint}[];

export interface CgroupFamily<Stats> {
	/** Without `container_`. */
	readonly name: string;
	readonly help: string;
	/** Default gauge: most are told as such, also those that only grow. */
	readonly type?: 'counter' | 'gauge';
	readonly read: (stats: Stats) => Reading;
}

/** The families of cgroup v1 under containerd's names. */
export const familiesV1: readonly CgroupFamily<MetricsV1>[] = [
	{name: 'pids_limit', help: 'Processes that may be in the container.', read: ({pids}) => pids?.limit},
	{name: 'pids_current', help: 'Processes that are in the container.', read: ({pids}) => pids?.current},
	{name: 'cpu_total_nanoseconds', help: 'Processor time.', read: ({cpu}) => cpu?.usage?.total},
	{name: 'cpu_kernel_nanoseconds', help: 'Processor time in the kernel.', read: ({cpu}) => cpu?.usage?.kernel},
	{name: 'cpu_user_nanoseconds', help: 'Processor time outside of the kernel.', read: ({cpu}) => cpu?.usage?.user},
	{
		name: 'per_cpu_nanoseconds', help: 'Time of each processor.',
		read: ({cpu}) => cpu?.usage?.perCpu.map((value, index) => ({labels: [['cpu', String(index)]], value})),
	},
	{name: 'cpu_throttle_periods_total', help: 'Periods of the processor limit that passed.', read: ({cpu}) => cpu?.throttling?.periods},
	{name: 'cpu_throttled_periods_total', help: 'Periods in which the processor limit held the container up.', read: ({cpu}) => cpu?.throttling?.throttledPeriods},
	{name: 'cpu_throttled_time_nanoseconds', help: 'Time for which the processor limit held the container up.', read: ({cpu}) => cpu?.throttling?.throttledTime},
	...memoryV1,
	{name: 'memory_oom_total', help: 'Processes killed for want of memory.', type: 'counter', read: ({memoryOomControl}) => memoryOomControl?.oomKill},
	...([['usage_bytes', 'usage', 'in use'], ['failcnt_total', 'failcnt', 'refused'], ['max_bytes', 'max', 'in use at most']] as const).map(([name, key, words]): CgroupFamily<MetricsV1> => ({
		name: `hugetlb_${name}`, help: `Huge pages ${words}, by their size.`,
		read: ({hugetlb}) => hugetlb.map(({pagesize, [key]: value}) => ({labels: [['page', pagesize]], value})),
	})),
	...blockFamilies,
];

/** The families of cgroup v2 under containerd's names. */
export const familiesV2: readonly CgroupFamily<MetricsV2>[] = [
	{name: 'pids_limit', help: 'Processes that may be in the container.', read: ({pids}) => pids?.limit},
	{name: 'pids_current', help: 'Processes that are in the container.', read: ({pids}) => pids?.current},
	{name: 'cpu_usage_usec_microseconds', help: 'Processor time.', read: ({cpu}) => cpu?.usageUsec},
	{name: 'cpu_user_usec_microseconds', help: 'Processor time outside of the kernel.', read: ({cpu}) => cpu?.userUsec},
	{name: 'cpu_system_usec_microseconds', help: 'Processor time in the kernel.', read: ({cpu}) => cpu?.systemUsec},
	{name: 'cpu_nr_periods_total', help: 'Periods of the processor limit that passed.', read: ({cpu}) => cpu?.nrPeriods},
	{name: 'cpu_nr_throttled_total', help: 'Periods in which the processor limit held the container up.', read: ({cpu}) => cpu?.nrThrottled},
	{name: 'cpu_throttled_usec_microseconds', help: 'Time for which the processor limit held the container up.', read: ({cpu}) => cpu?.throttledUsec},
	...memoryV2,
	{name: 'memory_oom_total', help: 'Times at which the container was out of memory.', read: ({memoryEvents}) => memoryEvents?.oom},
	...([['rbytes_bytes', 'rbytes', 'Bytes read'], ['wbytes_bytes', 'wbytes', 'Bytes written'], ['rios_total', 'rios', 'Reads'], ['wios_total', 'wios', 'Writes']] as const)
		.map(([name, key, words]): CgroupFamily<MetricsV2> => ({
			name: `io_${name}`, help: `${words}, by device.`,
			read: ({io}) => io?.usage.map(({major, minor, [key]: value}) => ({labels: [['major', String(major)], ['minor', String(minor)]], value})),
		})),
];
