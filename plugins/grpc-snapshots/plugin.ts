/** Snapshots over gRPC. */

import {z} from 'zod';
import {GrpcService, scopeOf} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {snapshotsService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.snapshots',
	provides: GrpcService,
	requires: {metadata: one(Metadata)},
	config: z.strictObject({}),
	init: ({services}) => snapshotsService((context, name) => services.metadata.scope(scopeOf(context)).snapshotter(name)),
});
