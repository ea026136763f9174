/** Listens for clients: asks the kernel for all services, and serves them over gRPC, and those for shims over ttrpc. Counts what they are asked. */

import {z} from 'zod';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {Server} from '../../contracts/grpc/server.ts';
import {MetricSource} from '../../contracts/metrics/metrics.ts';
import {all, definePlugin} from '../../kernel/index.ts';
import {CallCounts} from './call-counts.ts';
import {serve} from './serve.ts';
import {grpcConfig, settingsOf} from './settings.ts';

const COUNTS = 'grpc-prometheus';

const server = definePlugin({
	id: 'io.containerd.server.v1.grpc',
	provides: Server,
	requires: {services: all(GrpcService), sources: all(MetricSource)},
	config: grpcConfig,

	async init({config, services: {services, sources}, daemon, lifetime, log, signal}) {
		const source = sources.get(COUNTS);
		const counts = source instanceof CallCounts ? source : undefined;
		const listening = lifetime.use(await serve({settings: settingsOf(config, daemon.config), services: [...services.values()], log, counts, signal}));
		log.info('serving', {addresses: listening.addresses});
		return listening;
	},
});

const counts = definePlugin({
	id: `io.containerd.metrics.v1.${COUNTS}`,
	provides: MetricSource,
	requires: {},
	config: z.strictObject({
		grpc_histogram: z.boolean().default(false).describe('also how long calls took, by method; until format 3 in [metrics]'),
	}),
	init: ({config, daemon}) => new CallCounts({hasTimes: config.grpc_histogram || metricsConfig.parse(daemon.config['metrics']).grpc_histogram}),
});

// The daemon's own table, which the kernel has checked.
const metricsConfig = z.object({grpc_histogram: z.boolean().default(false)}).prefault({});

export const plugin = [server, counts];
