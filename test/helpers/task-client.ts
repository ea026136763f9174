import type {CreateTaskRequest} from '../../api/gen/services/tasks/v1/tasks.ts';
import {connect, type Client} from '../../client/index.ts';
import type {Ctr} from './ctr.ts';
import type {Daemon} from './daemon.ts';

/** The typed client in the namespace of a `ctr`, for what that has no words for. */
export function clientOf(daemon: Daemon, ctr: Ctr): Client {
	return connect(daemon.places.address, {namespace: ctr.namespace});
}

/** The parts of an OCI spec that tests change; the rest stays as the client wrote it. */
export interface SpecParts {
	process: {
		args: string[]; env: string[]; noNewPrivileges?: boolean; rlimits?: object[]; capabilities?: Record<string, string[]>;
		user: {uid: number; gid: number};
	};
	root: {path: string; readonly?: boolean};
	mounts: object[];
	hooks?: Record<string, object[]>;
	annotations?: Record<string, string>;
	linux: {
		namespaces: Array<{type: string; path?: string}>;
		maskedPaths?: string[]; readonlyPaths?: string[]; sysctl?: Record<string, string>; seccomp?: object; devices?: object[];
		resources?: {devices?: object[]; pids?: {limit: number}; memory?: object};
	};
}

/** Creates a container as `ctr` does, without a task, and then changes its spec. */
export async function createContainer(client: Client, ctr: Ctr, image: string, {id, args, flags = [], change = () => undefined}: {
	readonly id: string; readonly args: readonly string[]; readonly flags?: readonly string[]; readonly change?: (spec: SpecParts) => void;
}): Promise<void> {
	await ctr.ok('containers', 'create', ...flags, image, id, 'true');
	const {containers} = client.services;
	const {container} = await containers.get({id});
	if (container?.spec === undefined) {
		throw new Error(`container ${id} has no spec`);
	}
	const spec = JSON.parse(Buffer.from(container.spec.value).toString()) as SpecParts;
	// Not as words of the command: the client takes some of them for its own flags.
	spec.process.args = [...args];
	change(spec);
	await containers.update({container: {...container, spec: {typeUrl: container.spec.typeUrl, value: Buffer.from(JSON.stringify(spec))}}, updateMask: ['spec']});
}

/** Makes a task of a container on its snapshot, as `ctr` does, but with what else the request is to say. */
export async function createTask(client: Client, id: string, request: Partial<CreateTaskRequest> & {readonly mountOptions?: readonly string[]} = {}): Promise<number> {
	const {mountOptions = [], ...rest} = request;
	const {container} = await client.services.containers.get({id});
	const {mounts} = await client.services.snapshots.mounts({snapshotter: container?.snapshotter ?? '', key: container?.snapshotKey ?? ''});
	const rootfs = mounts.map(mount => ({...mount, options: [...mount.options, ...mountOptions]}));
	const {pid} = await client.services.tasks.create({containerId: id, rootfs, ...rest});
	return pid;
}

/** Starts a container's task and lets it run to its end: what it printed, and its exit status. */
export async function runTask(ctr: Ctr, id: string): Promise<{readonly stdout: string; readonly stderr: string; readonly code: number | undefined}> {
	const outcome = await ctr.run('tasks', 'start', id);
	await ctr.run('tasks', 'rm', id);
	return outcome;
}

export async function remove(ctr: Ctr, ...ids: readonly string[]): Promise<void> {
	for (const id of ids) {
		await ctr.run('tasks', 'rm', '--force', id);
		await ctr.ok('containers', 'rm', id);
	}
}
