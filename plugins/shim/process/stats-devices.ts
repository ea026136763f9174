import {readFile, readlink} from 'node:fs/promises';
import type {NetworkStat, RdmaEntry} from '../../../api/gen/cgroups/cgroup1/metrics.ts';
import {pairs, readCgroupFile, toCount} from './cgroup-files.ts';

/** No limit, in a count of 32 bits. */
const unlimited = 0xffff_ffff;

/** What RDMA controllers count and allow, of either version of control groups (cgroup-v1/rdma.rst, cgroup-v2.rst); undefined where there is none. */
export async function rdmaOf(directory: string | undefined): Promise<{readonly current: RdmaEntry[]; readonly limit: RdmaEntry[]} | undefined> {
	if (directory === undefined) {
		return undefined;
	}
	const [current, limit] = await Promise.all(['rdma.current', 'rdma.max'].map(async name => readCgroupFile(directory, name)));
	return current === undefined ? undefined : {current: rdmaEntries(current), limit: rdmaEntries(limit)};
}

/** Lines of `mlx4_0 hca_handle=2 hca_object=max`. */
function rdmaEntries(text: string | undefined): RdmaEntry[] {
	return (text ?? '').split('\n').filter(line => line.trim() !== '').map(line => {
		const [device = '', ...words] = line.trim().split(/\s+/);
		const values = pairs(words, '=');
		const count = (key: string): number => values.get(key) === 'max' ? unlimited : Number(toCount(values.get(key)));
		return {device, hcaHandles: count('hca_handle'), hcaObjects: count('hca_object')};
	});
}

/** What network devices have counted in a process's network namespace; none where that is the shim's own, which is the host's. */
export async function networkOf(pid: number): Promise<NetworkStat[]> {
	try {
		const [theirs, ours] = await Promise.all([pid, 'self'].map(async process => readlink(`/proc/${process}/ns/net`)));
		return theirs === ours ? [] : networkDevices(await readFile(`/proc/${pid}/net/dev`, 'utf8'));
	} catch {
		// It has ended.
		return [];
	}
}

/** The table of /proc/net/dev (proc_pid_net(5)): eight counts received, eight transmitted. */
export function networkDevices(text: string): NetworkStat[] {
	return [...text.matchAll(/^\s*([^\s:]+):(.*)$/gm)].map(([, name = '', rest = '']) => {
		const counts = rest.trim().split(/\s+/).map(toCount);
		const [rxBytes = 0n, rxPackets = 0n, rxErrors = 0n, rxDropped = 0n] = counts;
		const [txBytes = 0n, txPackets = 0n, txErrors = 0n, txDropped = 0n] = counts.slice(8);
		return {name, rxBytes, rxPackets, rxErrors, rxDropped, txBytes, txPackets, txErrors, txDropped};
	});
}
