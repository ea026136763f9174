import {descriptorMessage, descriptorOf} from '../../api/convert/descriptor.ts';
import {timestampOf} from '../../api/convert/timestamp.ts';
import {TasksDefinition} from '../../api/gen/services/tasks/v1/tasks.ts';
import {grpcService, type CallContext, type GrpcService} from '../../contracts/grpc/grpc.ts';
import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import type {Any} from '../../contracts/oci/any.ts';
import type {Tasks} from '../../contracts/task/task.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {taskFilter} from './list-filter.ts';
import {processMessage} from './process-message.ts';

export interface TasksParts {
	/** The tasks that a call may see. */
	readonly tasksFor: (context: CallContext) => Tasks;
	/** Stops a task's clock, and answers what it left in content: nothing where the client named a path. */
	readonly checkpoint: (containerId: string, options: Any | undefined, context: CallContext) => Promise<readonly Descriptor[]>;
}

export function tasksService({tasksFor, checkpoint}: TasksParts): GrpcService {
	return grpcService(TasksDefinition, {
		async create({containerId, rootfs, stdin, stdout, stderr, terminal, checkpoint: from, options, runtimePath, taskApiAddress, taskApiVersion}, context) {
			const pid = await tasksFor(context).create({
				containerId, rootfs, stdin, stdout, stderr, terminal,
				...(options === undefined ? {} : {options}),
				...(from === undefined ? {} : {checkpoint: descriptorOf(from, 'checkpoint')}),
				...(runtimePath === '' ? {} : {runtimePath}),
				...(taskApiAddress === '' ? {} : {taskApi: {address: taskApiAddress, version: taskApiVersion}}),
			}, context.signal);
			return {containerId, pid};
		},
		start: async (request, context) => ({pid: await tasksFor(context).start(request, context.signal)}),
		async delete({containerId}, context) {
			const {pid, exitStatus, exitedAt} = await tasksFor(context).delete(containerId, context.signal);
			return {id: containerId, pid, exitStatus, exitedAt: timestampOf(exitedAt)};
		},
		async deleteProcess(request, context) {
			const {pid, exitStatus, exitedAt} = await tasksFor(context).deleteProcess(request, context.signal);
			return {id: request.execId, pid, exitStatus, exitedAt: timestampOf(exitedAt)};
		},
		get: async (request, context) => ({process: processMessage(await tasksFor(context).get(request, context.signal))}),
		list: async ({filter}, context) => ({tasks: (await tasksFor(context).list(context.signal)).filter(taskFilter(filter)).map(processMessage)}),
		async kill({containerId, execId, signal, all}, context) {
			await tasksFor(context).kill({containerId, execId}, signal, all, context.signal);
			return {};
		},
		async exec({containerId, execId, stdin, stdout, stderr, terminal, spec}, context) {
			if (spec === undefined) {
				throw new KeelsonError('INVALID_ARGUMENT', `exec ${JSON.stringify(execId)} has no spec`);
			}
			await tasksFor(context).exec({containerId, execId, stdin, stdout, stderr, terminal, spec}, context.signal);
			return {};
		},
		async resizePty({containerId, execId, width, height}, context) {
			await tasksFor(context).resizePty({containerId, execId}, {width, height}, context.signal);
			return {};
		},
		async closeIO({containerId, execId, stdin}, context) {
			await tasksFor(context).closeIo({containerId, execId}, stdin, context.signal);
			return {};
		},
		async pause({containerId}, context) {
			await tasksFor(context).pause(containerId, context.signal);
			return {};
		},
		async resume({containerId}, context) {
			await tasksFor(context).resume(containerId, context.signal);
			return {};
		},
		async listPids({containerId}, context) {
			const pids = await tasksFor(context).pids(containerId, context.signal);
			return {processes: pids.map(({pid, info}) => ({pid, info}))};
		},
		checkpoint: async ({containerId, options}, context) => ({descriptors: (await checkpoint(containerId, options, context)).map(descriptorMessage)}),
		async update({containerId, resources, annotations}, context) {
			await tasksFor(context).update(containerId, resources, annotations, context.signal);
			return {};
		},
		async metrics({filters}, context) {
			const metrics = await tasksFor(context).metrics(filters, context.signal);
			return {metrics: metrics.map(({id, timestamp, data}) => ({id, timestamp: timestampOf(timestamp), data}))};
		},
		async wait(request, context) {
			const {exitStatus, exitedAt} = await tasksFor(context).wait(request, context.signal);
			return {exitStatus, exitedAt: timestampOf(exitedAt)};
		},
	}, {waits: ['Wait']});
}
