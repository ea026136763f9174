/** Leases over gRPC. */

import {z} from 'zod';
import {GrpcService, scopeOf} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {leasesService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.leases',
	provides: GrpcService,
	requires: {metadata: one(Metadata)},
	config: z.strictObject({}),
	init: ({services}) => leasesService(context => services.metadata.scope(scopeOf(context)).leases),
});
