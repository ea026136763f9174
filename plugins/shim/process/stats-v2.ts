import {readdir} from 'node:fs/promises';
import type {DeepPartial, HugeTlbStat, IOEntry, Metrics, PSIData, PSIStats} from '../../../api/gen/cgroups/cgroup2/metrics.ts';
import {flatKeyed, pairs, readCgroupFile, toCount} from './cgroup-files.ts';
import {rdmaOf} from './stats-devices.ts';

/** What cgroup v2 counts of a container (kernel Documentation/admin-guide/cgroup-v2.rst). */
export async function readStatsV2(directory: string): Promise<DeepPartial<Metrics>> {
	const read = async (name: string): Promise<string | undefined> => readCgroupFile(directory, name);
	const [cpu, cpuPressure, memory, io, ioPressure, events, pidsCurrent, pidsMax, rdma, hugetlb] = await Promise.all([
		read('cpu.stat'), read('cpu.pressure'), memoryOf(directory), read('io.stat'), read('io.pressure'), read('memory.events'), read('pids.current'), read('pids.max'),
		rdmaOf(directory), hugetlbOf(directory),
	]);
	const stat = flatKeyed(cpu);
	const event = flatKeyed(events);
	return {
		...(pidsCurrent === undefined ? {} : {pids: {current: toCount(pidsCurrent), limit: pidsMax?.trim() === 'max' ? 0n : toCount(pidsMax)}}),
		cpu: {
			usageUsec: stat('usage_usec'), userUsec: stat('user_usec'), systemUsec: stat('system_usec'), nrPeriods: stat('nr_periods'),
			nrThrottled: stat('nr_throttled'), throttledUsec: stat('throttled_usec'), nrBursts: stat('nr_bursts'), burstUsec: stat('burst_usec'),
			psi: pressureOf(cpuPressure),
		},
		memory,
		hugetlb,
		...(rdma === undefined ? {} : {rdma}),
		io: {usage: ioEntries(io), psi: pressureOf(ioPressure)},
		memoryEvents: {
			low: event('low'), high: event('high'), max: event('max'), oom: event('oom'), oomKill: event('oom_kill'), oomGroupKill: event('oom_group_kill'),
		},
	};
}

async function memoryOf(directory: string): Promise<DeepPartial<Metrics>['memory']> {
	const read = async (name: string): Promise<string | undefined> => readCgroupFile(directory, `memory.${name}`);
	const [text, current, max, peak, swapCurrent, swapMax, swapPeak, pressure] = await Promise.all(
		['stat', 'current', 'max', 'peak', 'swap.current', 'swap.max', 'swap.peak', 'pressure'].map(read));
	const stat = flatKeyed(text);
	return {
		anon: stat('anon'), file: stat('file'), kernelStack: stat('kernel_stack'), slab: stat('slab'), sock: stat('sock'), shmem: stat('shmem'),
		fileMapped: stat('file_mapped'), fileDirty: stat('file_dirty'), fileWriteback: stat('file_writeback'), anonThp: stat('anon_thp'),
		inactiveAnon: stat('inactive_anon'), activeAnon: stat('active_anon'), inactiveFile: stat('inactive_file'), activeFile: stat('active_file'),
		unevictable: stat('unevictable'), slabReclaimable: stat('slab_reclaimable'), slabUnreclaimable: stat('slab_unreclaimable'),
		pgfault: stat('pgfault'), pgmajfault: stat('pgmajfault'), workingsetRefault: stat('workingset_refault'),
		workingsetActivate: stat('workingset_activate'), workingsetNodereclaim: stat('workingset_nodereclaim'), pgrefill: stat('pgrefill'),
		pgscan: stat('pgscan'), pgsteal: stat('pgsteal'), pgactivate: stat('pgactivate'), pgdeactivate: stat('pgdeactivate'),
		pglazyfree: stat('pglazyfree'), pglazyfreed: stat('pglazyfreed'), thpFaultAlloc: stat('thp_fault_alloc'), thpCollapseAlloc: stat('thp_collapse_alloc'),
		usage: toCount(current), usageLimit: toCount(max), maxUsage: toCount(peak),
		swapUsage: toCount(swapCurrent), swapLimit: toCount(swapMax), swapMaxUsage: toCount(swapPeak),
		psi: pressureOf(pressure),
	};
}

async function hugetlbOf(directory: string): Promise<HugeTlbStat[]> {
	const names = await readdir(directory).catch(() => []);
	const sizes = names.map(name => /^hugetlb\.(\w+)\.current$/.exec(name)?.[1]).filter(size => size !== undefined);
	return Promise.all(sizes.toSorted().map(async pagesize => {
		const [current, max, events] = await Promise.all(['current', 'max', 'events'].map(async name => readCgroupFile(directory, `hugetlb.${pagesize}.${name}`)));
		return {pagesize, current: toCount(current), max: toCount(max), failcnt: flatKeyed(events)('max')};
	}));
}

/** Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`. */
export function ioEntries(text: string | undefined): IOEntry[] {
	return [...(text ?? '').matchAll(/^(\d+):(\d+) (.*)$/gm)].map(([, major = '0', minor = '0', rest = '']) => {
		const values = pairs(rest.split(' '), '=');
		const count = (key: string): bigint => toCount(values.get(key));
		return {major: BigInt(major), minor: BigInt(minor), rbytes: count('rbytes'), wbytes: count('wbytes'), rios: count('rios'), wios: count('wios')};
	});
}

/** Lines of `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`. */
export function pressureOf(text: string | undefined): PSIStats | undefined {
	if (text === undefined) {
		return undefined;
	}
	const line = (kind: string): PSIData | undefined => {
		const [, avg10, avg60, avg300, total] = new RegExp(`^${kind} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`, 'm').exec(text) ?? [];
		return total === undefined ? undefined : {avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), total: BigInt(total)};
	};
	return {some: line('some'), full: line('full')};
}
