/** Namespaces over gRPC. */

import {z} from 'zod';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {namespacesService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.namespaces',
	provides: GrpcService,
	requires: {metadata: one(Metadata)},
	config: z.strictObject({}),
	init: ({services}) => namespacesService(services.metadata.namespaces),
});
