/** What the daemon is made of, over gRPC. */

import {join} from 'node:path';
import {z} from 'zod';
import {GrpcService} from '../../contracts/grpc/grpc.ts';
import {TaskManager} from '../../contracts/task/task.ts';
import {definePlugin, maybe} from '../../kernel/index.ts';
import {deprecationsIn} from './deprecations.ts';
import {daemonUuid, pidNamespace} from './identity.ts';
import {introspectionService} from './service.ts';

export const plugin = definePlugin({
	id: 'io.containerd.grpc.v1.introspection',
	provides: GrpcService,
	requires: {tasks: maybe(TaskManager)},
	config: z.strictObject({}),

	async init({status, services, root, daemon, log}) {
		const identity = {uuid: await daemonUuid(join(root, 'uuid')), pid: process.pid, pidNamespace: await pidNamespace()};
		const deprecations = deprecationsIn(daemon.config);
		for (const {id, message} of deprecations) {
			log.warn(message, {id});
		}
		return introspectionService({status, identity, deprecations, tasks: services.tasks});
	},
});
