/** Mounts over gRPC. */

import {z} from 'zod';
import {GrpcService, scopeOf} from '../../contracts/grpc/grpc.ts';
import {MountManager} from '../../contracts/mount-manager/mount-manager.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {mountsService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.mounts',
	provides: GrpcService,
	requires: {mounts: one(MountManager)},
	config: z.strictObject({}),
	init: ({services}) => mountsService(context => services.mounts.activations(scopeOf(context))),
});
