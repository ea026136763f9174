/** Content over gRPC. */

import {z} from 'zod';
import {GrpcService, scopeOf} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {contentService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.content',
	provides: GrpcService,
	requires: {metadata: one(Metadata)},
	config: z.strictObject({}),
	init: ({services}) => contentService(context => services.metadata.scope(scopeOf(context)).content),
});
