import {ProcessDetails} from '../../../api/gen/types/runc/options/oci.ts';
import type {TaskDefinition} from '../../../api/gen/runtime/task/v3/shim.ts';
import type {Any} from '../../../contracts/oci/any.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {ttrpcService, type TypedHandlers} from '../../../lib/ttrpc/typed-service.ts';
import type {TtrpcService} from '../../../lib/ttrpc/service.ts';
import {toStatusNumber} from '../protocol/status.ts';
import {taskV2, taskV3} from '../protocol/task-definition.ts';
import {toTimestamp} from '../protocol/timestamp.ts';
import {inClassWords} from './class-words.ts';
import {decodeCheckpointOptions, decodeOptions} from './decode-options.ts';
import type {ShimContainer} from './container.ts';
import {inRuntimeWords} from './runtime-call.ts';
import type {Shim} from './shim.ts';

/** The task service, under the names of its second and third version. `shutdown` is called when a client asks for it and no container is left. */
export function taskServices(shim: Shim, shutdown: () => void): readonly TtrpcService[] {
	const handlers: TypedHandlers<TaskDefinition> = {
		state: async ({id, execId}) => {
			const container = await shim.settled(id);
			const process = container.process(execId);
			const {pid, status, stdio: {stdin, stdout, stderr, terminal}, exit} = process;
			return {
				id, execId, bundle: container.setup.bundle, pid, status: toStatusNumber(status), stdin, stdout, stderr, terminal,
				exitStatus: exit?.exitStatus ?? 0, exitedAt: exit === undefined ? undefined : toTimestamp(exit.exitedAt),
			};
		},
		create: async ({id, bundle, rootfs, terminal, stdin, stdout, stderr, checkpoint, options}) => ({
			pid: await shim.create({id, bundle, rootfs, checkpoint, options: decodeOptions(options), stdio: {terminal, stdin, stdout, stderr}}),
		}),
		start: async ({id, execId}) => ({pid: await shim.start(id, execId)}),
		delete: async ({id, execId}) => {
			const {pid, exitStatus, exitedAt} = await shim.delete(id, execId);
			return {pid, exitStatus, exitedAt: toTimestamp(exitedAt)};
		},
		pids: async ({id}) => {
			const container = shim.get(id);
			const pids = await container.runtime.ps(id);
			return {processes: pids.map(pid => ({pid, info: execDetails(container, pid)}))};
		},
		pause: async ({id}) => {
			await shim.pause(id);
			return {};
		},
		resume: async ({id}) => {
			await shim.resume(id);
			return {};
		},
		checkpoint: async ({id, path, options}) => {
			const container = shim.get(id);
			await container.changes.run(async () => container.checkpoint(path, decodeCheckpointOptions(options)));
			return {};
		},
		kill: async ({id, execId, signal, all}) => {
			await shim.kill(id, execId, signal, all);
			return {};
		},
		exec: async ({id, execId, terminal, stdin, stdout, stderr, spec}) => {
			if (execId === '' || spec === undefined) {
				throw new KeelsonError('INVALID_ARGUMENT', `exec in ${id} needs an id and a process`);
			}
			await shim.get(id).addExec(execId, {terminal, stdin, stdout, stderr}, spec.value);
			return {};
		},
		resizePty: ({id, execId, width, height}) => {
			shim.get(id).process(execId).io?.resize({columns: width, rows: height});
			return {};
		},
		closeIO: ({id, execId, stdin}) => {
			const container = shim.get(id);
			container.process(execId);
			if (stdin) {
				container.closeStdin(execId);
			}
			return {};
		},
		update: async ({id, resources}) => {
			const container = shim.get(id);
			if (resources !== undefined && resources.value.length > 0) {
				await container.changes.run(async () => inRuntimeWords('OCI runtime update failed', container.runtime.update(id, resources.value)));
			}
			return {};
		},
		wait: async ({id, execId}) => {
			const {exitStatus, exitedAt} = await shim.get(id).process(execId).exited;
			return {exitStatus, exitedAt: toTimestamp(exitedAt)};
		},
		stats: async ({id}) => {
			const {cgroup, init} = shim.get(id);
			if (cgroup === undefined) {
				throw new KeelsonError('NOT_FOUND', `cgroup of container ${id}: none is known`);
			}
			// Loaded when first asked for: most shims never are.
			const {readStats} = await import('./stats.ts');
			return {stats: await readStats(cgroup, init.pid)};
		},
		// Whoever connects asks for the shim's pid, before there is a container too.
		connect: ({id}) => ({shimPid: process.pid, taskPid: shim.pidOf(id)}),
		shutdown: () => {
			if (shim.size === 0) {
				shutdown();
			}
			return {};
		},
	};
	const worded = inClassWords(handlers);
	return [ttrpcService(taskV2, worded), ttrpcService(taskV3, worded)];
}

function execDetails({execs}: ShimContainer, pid: number): Any | undefined {
	const exec = [...execs.values()].find(one => one.pid === pid);
	if (exec === undefined) {
		return undefined;
	}
	const value = ProcessDetails.encode(ProcessDetails.fromPartial({execId: exec.execId})).finish();
	return {typeUrl: 'containerd.runc.v1.ProcessDetails', value};
}
