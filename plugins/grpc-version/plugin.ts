/** The daemon's version over gRPC. */

import {z} from 'zod';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {definePlugin} from '../../kernel/index.ts';
import {versionService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.version',
	provides: GrpcService,
	requires: {},
	config: z.strictObject({}),
	init: ({daemon}) => versionService(daemon),
});
