/** Health over gRPC. */

import {z} from 'zod';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {definePlugin} from '../../kernel/index.ts';
import {healthService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.healthcheck',
	provides: GrpcService,
	requires: {},
	config: z.strictObject({}),
	init: () => healthService(),
});
