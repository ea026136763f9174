import type {MemoryEntry, MemoryStat as MemoryV1, Metrics as MetricsV1} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import type {MemoryStat as MemoryV2, Metrics as MetricsV2} from '../../api/gen/cgroups/cgroup2/metrics.ts';
import type {CgroupFamily} from './families.ts';

type CountsOf<T> = {readonly [Key in keyof T]: T[Key] extends bigint ? Key : never}[keyof T];

// Pages and events are told in bytes, as containerd names them: a dashboard looks for the name.
const OWN: readonly (readonly [name: string, key: CountsOf<MemoryV1>, words: string])[] = [
	['cache', 'cache', 'Page cache'],
	['rss', 'rss', 'Anonymous memory'],
	['rss_huge', 'rssHuge', 'Anonymous memory in huge pages'],
	['mapped_file', 'mappedFile', 'Files that are mapped'],
	['dirty', 'dirty', 'Memory to be written back'],
	['writeback', 'writeback', 'Memory that is being written back'],
	['pgpgin', 'pgPgIn', 'Pages charged'],
	['pgpgout', 'pgPgOut', 'Pages uncharged'],
	['pgfault', 'pgFault', 'Page faults'],
	['pgmajfault', 'pgMajFault', 'Page faults that waited for a device'],
	['inactive_anon', 'inactiveAnon', 'Anonymous memory that was not used of late'],
	['active_anon', 'activeAnon', 'Anonymous memory that was used of late'],
	['inactive_file', 'inactiveFile', 'Page cache that was not used of late'],
	['active_file', 'activeFile', 'Page cache that was used of late'],
	['unevictable', 'unevictable', 'Memory that cannot be taken back'],
	['hierarchical_memory_limit', 'hierarchicalMemoryLimit', 'The lowest limit of the container and what it is in'],
	['hierarchical_memsw_limit', 'hierarchicalSwapLimit', 'The lowest limit of memory and swap together'],
];

const TOTAL: readonly (readonly [name: string, key: CountsOf<MemoryV1>])[] = [
	['cache', 'totalCache'], ['rss', 'totalRss'], ['rss_huge', 'totalRssHuge'], ['mapped_file', 'totalMappedFile'], ['dirty', 'totalDirty'], ['writeback', 'totalWriteback'],
	['pgpgin', 'totalPgPgIn'], ['pgpgout', 'totalPgPgOut'], ['pgfault', 'totalPgFault'], ['pgmajfault', 'totalPgMajFault'], ['inactive_anon', 'totalInactiveAnon'],
	['active_anon', 'totalActiveAnon'], ['inactive_file', 'totalInactiveFile'], ['active_file', 'totalActiveFile'], ['unevictable', 'totalUnevictable'],
];

const ENTRIES: readonly (readonly [name: string, key: 'usage' | 'swap' | 'kernel' | 'kernelTcp', words: string])[] = [
	['usage', 'usage', 'Memory'], ['swap', 'swap', 'Memory and swap'], ['kernel', 'kernel', 'Memory of the kernel'], ['kerneltcp', 'kernelTcp', 'Buffers of TCP'],
];
const FIELDS: readonly (readonly [name: string, key: keyof MemoryEntry, words: string])[] = [
	['failcnt_total', 'failcnt', 'times that the limit was reached'], ['limit_bytes', 'limit', 'limit'], ['max_bytes', 'max', 'most that was in use'], ['usage_bytes', 'usage', 'in use'],
];

/** Memory of cgroup v1: what the container itself has, with groups below it as well (`total`), and its counters. */
export const memoryV1: readonly CgroupFamily<MetricsV1>[] = [
	...OWN.map(([name, key, words]): CgroupFamily<MetricsV1> => ({name: `memory_${name}_bytes`, help: `${words}.`, read: ({memory}) => memory?.[key]})),
	...TOTAL.map(([name, key]): CgroupFamily<MetricsV1> => ({
		name: `memory_total_${name}_bytes`, help: `${OWN.find(([own]) => own === name)?.[2]}, with groups below.`, read: ({memory}) => memory?.[key],
	})),
	...ENTRIES.flatMap(([name, key, words]) => FIELDS.map(([field, at, what]): CgroupFamily<MetricsV1> => ({
		name: `memory_${name}_${field}`, help: `${words}: ${what}.`, read: ({memory}) => memory?.[key]?.[at],
	}))),
];

const V2: readonly (readonly [name: string, key: CountsOf<MemoryV2>, words: string])[] = [
	['usage', 'usage', 'Memory in use'],
	['usage_limit', 'usageLimit', 'Limit of memory'],
	['swap_usage', 'swapUsage', 'Swap in use'],
	['swap_limit', 'swapLimit', 'Limit of swap'],
	['file_mapped', 'fileMapped', 'Files that are mapped'],
	['file_dirty', 'fileDirty', 'Page cache to be written back'],
	['file_writeback', 'fileWriteback', 'Page cache that is being written back'],
	['pgactivate', 'pgactivate', 'Pages that became used of late'],
	['pgdeactivate', 'pgdeactivate', 'Pages that became unused of late'],
	['pgfault', 'pgfault', 'Page faults'],
	['pgmajfault', 'pgmajfault', 'Page faults that waited for a device'],
	['pglazyfree', 'pglazyfree', 'Pages whose freeing was put off'],
	['pgrefill', 'pgrefill', 'Pages looked at among those in use'],
	['pglazyfreed', 'pglazyfreed', 'Pages freed after it was put off'],
	['pgscan', 'pgscan', 'Pages looked at to be taken back'],
	['pgsteal', 'pgsteal', 'Pages taken back'],
	['inactive_anon', 'inactiveAnon', 'Anonymous memory that was not used of late'],
	['active_anon', 'activeAnon', 'Anonymous memory that was used of late'],
	['inactive_file', 'inactiveFile', 'Page cache that was not used of late'],
	['active_file', 'activeFile', 'Page cache that was used of late'],
	['unevictable', 'unevictable', 'Memory that cannot be taken back'],
	['anon', 'anon', 'Anonymous memory'],
	['file', 'file', 'Page cache'],
	['kernel_stack', 'kernelStack', 'Stacks of the kernel'],
	['slab', 'slab', 'Structures of the kernel'],
	['sock', 'sock', 'Buffers of sockets'],
	['shmem', 'shmem', 'Shared memory'],
	['anon_thp', 'anonThp', 'Anonymous memory in huge pages'],
	['slab_reclaimable', 'slabReclaimable', 'Structures of the kernel that can be taken back'],
	['slab_unreclaimable', 'slabUnreclaimable', 'Structures of the kernel that cannot be taken back'],
	['workingset_refault', 'workingsetRefault', 'Pages read again soon after they were taken back'],
	['workingset_activate', 'workingsetActivate', 'Such pages that were used at once'],
	['workingset_nodereclaim', 'workingsetNodereclaim', 'Times that the shadows of pages were taken back'],
	['thp_fault_alloc', 'thpFaultAlloc', 'Huge pages given for a fault'],
	['thp_collapse_alloc', 'thpCollapseAlloc', 'Huge pages made of small ones'],
];

/** Memory of cgroup v2. */
export const memoryV2 = V2.map(([name, key, words]): CgroupFamily<MetricsV2> => ({name: `memory_${name}_bytes`, help: `${words}.`, read: ({memory}) => memory?.[key]}));
