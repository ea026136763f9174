/** Tasks over gRPC. */

import {z} from 'zod';
import {Differ} from '../../contracts/diff/diff.ts';
import {GrpcService, namespaceOf, scopeOf, type CallContext} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {TaskManager, type Tasks} from '../../contracts/task/task.ts';
import {definePlugin, maybe, one} from '../../kernel/index.ts';
import {checkpointer} from './checkpoint.ts';
import {tasksService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.tasks',
	provides: GrpcService,
	requires: {manager: one(TaskManager), metadata: one(Metadata), differ: maybe(Differ)},
	config: z.strictObject({}),

	init({services: {manager, metadata, differ}, state}) {
		const tasksFor = (context: CallContext): Tasks => manager.tasks(namespaceOf(context));
		const checkpoint = checkpointer({tasksFor, scopeFor: context => metadata.scope(scopeOf(context)), differ, directory: state});
		return tasksService({tasksFor, checkpoint});
	},
});
