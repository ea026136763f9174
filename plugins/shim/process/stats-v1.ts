import type {DeepPartial, Metrics} from '../../../api/gen/cgroups/cgroup1/metrics.ts';
import {readCgroupFile, toCount, flatKeyed} from './cgroup-files.ts';
import type {ContainerCgroup} from './container-cgroup.ts';
import {rdmaOf} from './stats-devices.ts';

/** USER_HZ, in which cpuacct.stat counts; 100 on all that Linux runs on here. */
const tickNs = 10_000_000n;
const pageSizes = ['2MB', '1GB', '64KB', '32MB'];

/** What cgroup v1 counts of a container (kernel Documentation/admin-guide/cgroup-v1). A controller that is not there is left out. */
export async function readStatsV1({controllers}: ContainerCgroup): Promise<DeepPartial<Metrics>> {
	const [pids, cpu, memory, memoryOomControl, blkio, hugetlb, rdma] = await Promise.all([
		pidsOf(controllers.get('pids')), cpuOf(controllers.get('cpuacct'), controllers.get('cpu')), memoryOf(controllers.get('memory')),
		oomOf(controllers.get('memory')), blkioOf(controllers.get('blkio')), hugetlbOf(controllers.get('hugetlb')), rdmaOf(controllers.get('rdma')),
	]);
	const given = Object.entries({pids, cpu, memory, memoryOomControl, blkio, hugetlb, rdma}).filter(([, value]) => value !== undefined);
	return Object.fromEntries(given);
}

async function pidsOf(directory: string | undefined): Promise<DeepPartial<Metrics>['pids']> {
	if (directory === undefined) {
		return undefined;
	}
	const [current, max] = await Promise.all(['pids.current', 'pids.max'].map(async name => readCgroupFile(directory, name)));
	// As containerd has it: no limit is 0.
	return {current: toCount(current), limit: max?.trim() === 'max' ? 0n : toCount(max)};
}

async function cpuOf(accounting: string | undefined, control: string | undefined): Promise<DeepPartial<Metrics>['cpu']> {
	const read = async (directory: string | undefined, name: string): Promise<string | undefined> =>
		directory === undefined ? undefined : readCgroupFile(directory, name);
	const [usage, ticks, perCpu, throttling] = await Promise.all([
		read(accounting, 'cpuacct.usage'), read(accounting, 'cpuacct.stat'), read(accounting, 'cpuacct.usage_percpu'), read(control, 'cpu.stat'),
	]);
	if (usage === undefined && throttling === undefined) {
		return undefined;
	}
	const tick = flatKeyed(ticks);
	const stat = flatKeyed(throttling);
	return {
		usage: {
			total: toCount(usage), user: tick('user') * tickNs, kernel: tick('system') * tickNs,
			perCpu: (perCpu ?? '').trim().split(/\s+/).filter(word => word !== '').map(toCount),
		},
		throttling: {periods: stat('nr_periods'), throttledPeriods: stat('nr_throttled'), throttledTime: stat('throttled_time')},
	};
}

async function memoryOf(directory: string | undefined): Promise<DeepPartial<Metrics>['memory']> {
	if (directory === undefined) {
		return undefined;
	}
	const [text, usage, swap, kernel, kernelTcp] = await Promise.all([
		readCgroupFile(directory, 'memory.stat'),
		...['memory', 'memory.memsw', 'memory.kmem', 'memory.kmem.tcp'].map(async prefix => entryOf(directory, prefix)),
	] as const);
	const stat = flatKeyed(text);
	return {
		cache: stat('cache'), rss: stat('rss'), rssHuge: stat('rss_huge'), mappedFile: stat('mapped_file'), dirty: stat('dirty'), writeback: stat('writeback'),
		pgPgIn: stat('pgpgin'), pgPgOut: stat('pgpgout'), pgFault: stat('pgfault'), pgMajFault: stat('pgmajfault'),
		inactiveAnon: stat('inactive_anon'), activeAnon: stat('active_anon'), inactiveFile: stat('inactive_file'), activeFile: stat('active_file'),
		unevictable: stat('unevictable'), hierarchicalMemoryLimit: stat('hierarchical_memory_limit'), hierarchicalSwapLimit: stat('hierarchical_memsw_limit'),
		totalCache: stat('total_cache'), totalRss: stat('total_rss'), totalRssHuge: stat('total_rss_huge'), totalMappedFile: stat('total_mapped_file'),
		totalDirty: stat('total_dirty'), totalWriteback: stat('total_writeback'), totalPgPgIn: stat('total_pgpgin'), totalPgPgOut: stat('total_pgpgout'),
		totalPgFault: stat('total_pgfault'), totalPgMajFault: stat('total_pgmajfault'), totalInactiveAnon: stat('total_inactive_anon'),
		totalActiveAnon: stat('total_active_anon'), totalInactiveFile: stat('total_inactive_file'), totalActiveFile: stat('total_active_file'),
		totalUnevictable: stat('total_unevictable'),
		usage, swap, kernel, kernelTcp,
	};
}

async function entryOf(directory: string, prefix: string): Promise<{limit: bigint; usage: bigint; max: bigint; failcnt: bigint} | undefined> {
	const [limit, usage, max, failcnt] = await Promise.all(
		['limit_in_bytes', 'usage_in_bytes', 'max_usage_in_bytes', 'failcnt'].map(async name => readCgroupFile(directory, `${prefix}.${name}`)));
	return usage === undefined ? undefined : {limit: toCount(limit), usage: toCount(usage), max: toCount(max), failcnt: toCount(failcnt)};
}

async function oomOf(directory: string | undefined): Promise<DeepPartial<Metrics>['memoryOomControl']> {
	const text = directory === undefined ? undefined : await readCgroupFile(directory, 'memory.oom_control');
	const control = flatKeyed(text);
	return text === undefined ? undefined : {oomKillDisable: control('oom_kill_disable'), underOom: control('under_oom'), oomKill: control('oom_kill')};
}

async function blkioOf(directory: string | undefined): Promise<DeepPartial<Metrics>['blkio']> {
	if (directory === undefined) {
		return undefined;
	}
	const entries = async (...names: readonly string[]): Promise<BlockEntry[]> => {
		for (const name of names) {
			const found = blockEntries(await readCgroupFile(directory, name));
			if (found.length > 0) {
				return found;
			}
		}
		return [];
	};
	// The scheduler's own counts where it keeps any, else those of throttling.
	const [ioServiceBytesRecursive, ioServicedRecursive] = await Promise.all([
		entries('blkio.bfq.io_service_bytes_recursive', 'blkio.throttle.io_service_bytes_recursive', 'blkio.throttle.io_service_bytes'),
		entries('blkio.bfq.io_serviced_recursive', 'blkio.throttle.io_serviced_recursive', 'blkio.throttle.io_serviced'),
	]);
	return {ioServiceBytesRecursive, ioServicedRecursive};
}

interface BlockEntry {
	readonly op: string;
	readonly device: string;
	readonly major: bigint;
	readonly minor: bigint;
	readonly value: bigint;
}

/** Lines of `8:0 Read 4096`; the sum at the end is not of a device. */
export function blockEntries(text: string | undefined): BlockEntry[] {
	return [...(text ?? '').matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major = '0', minor = '0', op = '', value = '0']) =>
		({op, device: '', major: BigInt(major), minor: BigInt(minor), value: BigInt(value)}));
}

async function hugetlbOf(directory: string | undefined): Promise<DeepPartial<Metrics>['hugetlb']> {
	if (directory === undefined) {
		return [];
	}
	const all = await Promise.all(pageSizes.map(async pagesize => {
		const [usage, max, failcnt] = await Promise.all(
			['usage_in_bytes', 'max_usage_in_bytes', 'failcnt'].map(async name => readCgroupFile(directory, `hugetlb.${pagesize}.${name}`)));
		return usage === undefined ? [] : [{pagesize, usage: toCount(usage), max: toCount(max), failcnt: toCount(failcnt)}];
	}));
	return all.flat();
}
