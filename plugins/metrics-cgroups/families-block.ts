import type {BlkIOStat, Metrics} from '../../api/gen/cgroups/cgroup1/metrics.ts';
import type {CgroupFamily} from './families.ts';

const BLOCK: readonly (readonly [name: string, key: keyof BlkIOStat, words: string])[] = [
	['io_merged_recursive_total', 'ioMergedRecursive', 'Requests merged into others'],
	['io_queued_recursive_total', 'ioQueuedRecursive', 'Requests that wait'],
	['io_service_bytes_recursive_bytes', 'ioServiceBytesRecursive', 'Bytes moved'],
	['io_service_time_recursive_total', 'ioServiceTimeRecursive', 'Nanoseconds that requests took'],
	['io_serviced_recursive_total', 'ioServicedRecursive', 'Requests carried out'],
	['io_time_recursive_total', 'ioTimeRecursive', 'Milliseconds that devices were given'],
	['sectors_recursive_total', 'sectorsRecursive', 'Sectors moved'],
];

/** cgroup v1's blkio. */
export const blockFamilies = BLOCK.map(([name, key, words]): CgroupFamily<Metrics> => ({
	name: `blkio_${name}`, help: `${words}, by device and operation.`,
	read: ({blkio}) => blkio?.[key].map(({op, device, major, minor, value}) => ({labels: [['device', device], ['major', String(major)], ['minor', String(minor)], ['op', op]], value})),
}));
