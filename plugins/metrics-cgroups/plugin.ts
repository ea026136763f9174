/** What containers use, for whoever watches this machine: the numbers of their control groups as metrics. */

import {z} from 'zod';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {MetricSource} from '../../contracts/metrics/metrics.ts';
import {TaskManager} from '../../contracts/task/task.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {CgroupMetrics} from './cgroup-metrics.ts';

export const plugin = definePlugin({
	id: 'io.containerd.metrics.v1.cgroups',
	provides: MetricSource,
	requires: {manager: one(TaskManager), metadata: one(Metadata)},
	aliases: ['io.containerd.monitor.v1.cgroups', 'io.containerd.monitor.task.v1.cgroups'],
	config: z.strictObject({
		no_prometheus: z.boolean().default(false).describe('tell nothing of containers'),
	}),
	init({config, services, log, skip}) {
		return config.no_prometheus ? skip('no_prometheus is set') : new CgroupMetrics({...services, log});
	},
});
