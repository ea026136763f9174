import type {Any} from '../../../contracts/oci/any.ts';
import {isUnified, type ContainerCgroup} from './container-cgroup.ts';

/** A container's metrics, of the version of control groups that governs it. */
export async function readStats(cgroup: ContainerCgroup): Promise<Any> {
	if (isUnified(cgroup)) {
		const [{Metrics}, {readStatsV2}] = await Promise.all([import('../../../api/gen/cgroups/cgroup2/metrics.ts'), import('./stats-v2.ts')]);
		return {typeUrl: 'io.containerd.cgroups.v2.Metrics', value: Metrics.encode(Metrics.fromPartial(await readStatsV2(cgroup.unified))).finish()};
	}
	const [{Metrics}, {readStatsV1}] = await Promise.all([import('../../../api/gen/cgroups/cgroup1/metrics.ts'), import('./stats-v1.ts')]);
	return {typeUrl: 'io.containerd.cgroups.v1.Metrics', value: Metrics.encode(Metrics.fromPartial(await readStatsV1(cgroup))).finish()};
}
