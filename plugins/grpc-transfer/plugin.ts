/** Transfers over gRPC. */

import {z} from 'zod';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {StreamManager} from '../../contracts/stream/stream.ts';
import {Transfer} from '../../contracts/transfer/transfer.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {transferService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.transfer',
	provides: GrpcService,
	requires: {transfer: one(Transfer), streams: one(StreamManager)},
	config: z.strictObject({}),
	init: ({services}) => transferService(services),
});
