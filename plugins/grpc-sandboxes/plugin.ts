/** Sandboxes over gRPC: their records, and whoever runs them. */

import {z} from 'zod';
import {EventBus} from '../../contracts/event/event.ts';
import {GrpcService, scopeOf} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {SandboxController} from '../../contracts/sandbox/sandbox.ts';
import {all, definePlugin, one} from '../../kernel/index.ts';
import {controllerService} from './controller-service.ts';
import {storeService} from './store-service.ts';

const store = definePlugin({
	id: 'io.containerd.grpc.v1.sandboxes',
	provides: GrpcService,
	requires: {metadata: one(Metadata)},
	config: z.strictObject({}),
	init: ({services: {metadata}}) => storeService(context => metadata.scope(scopeOf(context)).sandboxes),
});

const controllers = definePlugin({
	id: 'io.containerd.grpc.v1.sandbox-controllers',
	provides: GrpcService,
	requires: {metadata: one(Metadata), events: one(EventBus), controllers: all(SandboxController)},
	config: z.strictObject({
		sandboxer: z.string().default('shim').describe('who runs sandboxes for which nobody else is named'),
	}),
	init: ({config: {sandboxer}, services: {metadata, events, controllers: known}}) => controllerService({
		controllers: known, sandboxer, events,
		recordsFor: context => metadata.scope(scopeOf(context)).sandboxes,
	}),
});

export const plugin = [store, controllers];
