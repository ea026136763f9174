/** Events over gRPC, and for shims over ttrpc. */

import {z} from 'zod';
import {EventBus} from '../../contracts/event/event.ts';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {definePlugin, one} from '../../kernel/index.ts';
import {eventsService, ttrpcEventsService} from './service.ts';

const parts = {provides: GrpcService, requires: {bus: one(EventBus)}, config: z.strictObject({})};

export const plugin = [
	definePlugin({...parts, id: 'io.containerd.grpc.v1.events', init: ({services}) => eventsService(services.bus)}),
	definePlugin({...parts, id: 'io.containerd.grpc.v1.ttrpc-events', init: ({services}) => ttrpcEventsService(services.bus)}),
];
