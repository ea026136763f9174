/** Tasks over gRPC. */

import {z} from 'zod';
import {Differ} from '../../contracts/diff/diff.ts';
import {GrpcService, namespaceOf, scopeOf, type CallContext} from '../../contracts/grpc/grpc.ts';
import {Metadata} from '../../contracts/metadata/metadata.ts';
import {TaskManager, type Tasks} from '../../contracts/task/task.ts';
import {all, definePlugin, one} from '../../kernel/index.ts';
import {checkpointer} from './checkpoint.ts';
import {tasksService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.tasks',
	provides: GrpcService,
	requires: {manager: one(TaskManager), metadata: one(Metadata), differs: all(Differ)},
	config: z.strictObject({
		differ: z.string().default('walking').describe('what makes layers of checkpoints, by the last part of its id'),
	}),

	init({config: {differ: name}, services: {manager, metadata, differs}, state}) {
		const tasksFor = (context: CallContext): Tasks => manager.tasks(namespaceOf(context));
		const checkpoint = checkpointer({tasksFor, scopeFor: context => metadata.scope(scopeOf(context)), differ: differs.get(name), directory: state});
		return tasksService({tasksFor, checkpoint});
	},
});
