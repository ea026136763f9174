/** Listens for clients: asks the kernel for all services, and serves them over gRPC, and those for shims over ttrpc. */

import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {Server} from '../../contracts/grpc/server.ts';
import {all, definePlugin} from '../../kernel/index.ts';
import {serve} from './serve.ts';
import {grpcConfig, settingsOf} from './settings.ts';

export const plugin = definePlugin({
	id: 'io.containerd.server.v1.grpc',
	provides: Server,
	requires: {services: all(GrpcService)},
	config: grpcConfig,

	async init({config, services: {services}, daemon, lifetime, log, signal}) {
		const server = lifetime.use(await serve({settings: settingsOf(config, daemon.config), services: [...services.values()], log, signal}));
		log.info('serving', {addresses: server.addresses});
		return server;
	},
});
