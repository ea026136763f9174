/** Starts containers again when they end, as their labels say. */

import {z} from 'zod';
import {ContainerMonitor} from '../../contracts/container-monitor/container-monitor.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {TaskManager} from '../../contracts/task/task.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {parseDuration} from '../../lib/duration/duration.ts';
import {RestartMonitor} from './restart-monitor.ts';

export const plugin = definePlugin({
	id: 'io.containerd.monitor.container.v1.restart',
	provides: ContainerMonitor,
	requires: {metadata: one(Metadata), tasks: one(TaskManager)},
	// Its id until containerd 2.0.
	aliases: ['io.containerd.internal.v1.restart'],
	config: z.strictObject({
		interval: z.string().refine(value => (parseDuration(value) ?? 0) > 0, {error: 'expected a duration such as "10s"'}).default('10s')
			.describe('how often containers are looked at whose labels say that they shall run, or not'),
	}),
	init: ({config, services, log, lifetime}) => lifetime.use(new RestartMonitor({...services, log, intervalMs: parseDuration(config.interval) ?? 0})),
});
