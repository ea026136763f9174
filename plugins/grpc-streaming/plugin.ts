/** Streams over gRPC. */

import {z} from 'zod';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {StreamManager} from '../../contracts/stream/stream.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {streamingService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.streaming',
	provides: GrpcService,
	requires: {streams: one(StreamManager)},
	config: z.strictObject({}),
	init: ({services}) => streamingService(services.streams),
});
