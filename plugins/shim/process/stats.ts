import type {Any} from '../../../contracts/oci/any.ts';
import {isUnified, type ContainerCgroup} from './container-cgroup.ts';
import {networkOf} from './stats-devices.ts';

/** A container's metrics, of the version of control groups that governs it; of the second with what init's network devices count, as containerd has it. */
export async function readStats(cgroup: ContainerCgroup, pid: number): Promise<Any> {
	if (isUnified(cgroup)) {
		const [{Metrics}, {readStatsV2}] = await Promise.all([import('../../../api/gen/cgroups/cgroup2/metrics.ts'), import('./stats-v2.ts')]);
		return {typeUrl: 'io.containerd.cgroups.v2.Metrics', value: Metrics.encode(Metrics.fromPartial({...await readStatsV2(cgroup.unified), network: await networkOf(pid)})).finish()};
	}
	const [{Metrics}, {readStatsV1}] = await Promise.all([import('../../../api/gen/cgroups/cgroup1/metrics.ts'), import('./stats-v1.ts')]);
	return {typeUrl: 'io.containerd.cgroups.v1.Metrics', value: Metrics.encode(Metrics.fromPartial(await readStatsV1(cgroup))).finish()};
}
