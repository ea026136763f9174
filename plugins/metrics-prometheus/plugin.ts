/** Serves the metrics of all sources to Prometheus, at /v1/metrics as containerd does; and has those of the daemon's own process. */

import {z} from 'zod';
import {Server} from '../../contracts/grpc/server.ts';
import {MetricSource} from '../../contracts/metrics/metrics.ts';
import {all, definePlugin} from '../../kernel/index.ts';
import {exposition, expositionType} from './exposition.ts';
import {ProcessMetrics} from './process-metrics.ts';
import {Scrape} from './scrape.ts';

const server = definePlugin({
	id: 'io.containerd.server.v1.metrics',
	provides: Server,
	requires: {sources: all(MetricSource)},
	config: z.strictObject({
		address: z.string().default('').describe('host:port to serve metrics at; empty: nowhere'),
	}),
	async init({config: {address}, services: {sources}, lifetime, log, skip}) {
		if (address === '') {
			skip('there is no address for metrics');
		}
		// Most daemons serve none, and start without loading what it takes.
		const {listenHttp} = await import('../../lib/listen/http-listener.ts');
		const scrape = new Scrape(sources, log);
		const listening = lifetime.use(await listenHttp({
			address, owner: {uid: 0, gid: 0},
			routes: {'/v1/metrics': async () => ({type: expositionType, body: exposition(await scrape.families())})},
			failed: error => log.error('metrics were not told', {error}),
		}));
		log.info('serving metrics', {address: listening.address});
		return {addresses: [listening.address]};
	},
});

const self = definePlugin({
	id: 'io.containerd.metrics.v1.process',
	provides: MetricSource,
	requires: {},
	config: z.strictObject({}),
	init: ({daemon}) => new ProcessMetrics(daemon),
});

export const plugin = [server, self];
