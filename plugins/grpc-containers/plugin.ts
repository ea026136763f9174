/** Records of containers over gRPC. */

import {z} from 'zod';
import {GrpcService, scopeOf} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {containersService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.containers',
	provides: GrpcService,
	requires: {metadata: one(Metadata)},
	config: z.strictObject({}),
	init: ({services}) => containersService(context => services.metadata.scope(scopeOf(context)).containers),
});
