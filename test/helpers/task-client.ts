import {randomBytes} from 'node:crypto';
import path from 'node:path';
import type {CreateTaskRequest} from '../../api/gen/services/tasks/v1/tasks.ts';
import {Options} from '../../api/gen/types/runc/options/oci.ts';
import {connect, type Client} from '../../client/index.ts';
import {makeFifo} from '../../lib/sys/file-system.ts';
import type {Ctr} from './ctr.ts';
import type {Daemon} from './daemon.ts';
import {FifoReader} from './fifo-reader.ts';

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
	mounts: Array<{destination: string} & Record<string, unknown>>;
	hooks?: Record<string, object[]>;
	annotations?: Record<string, string>;
	linux: {
		namespaces: Array<{type: string; path?: string}>;
		uidMappings?: object[]; gidMappings?: object[]; maskedPaths?: string[]; readonlyPaths?: string[]; sysctl?: Record<string, string>; seccomp?: object; devices?: object[];
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

/** Runs a container's program to its end and deletes its task: what it printed on both streams, and its exit status. */
export async function runTask(client: Client, daemon: Daemon, id: string, request: Partial<CreateTaskRequest> = {}): Promise<{readonly text: string; readonly code: number}> {
	const fifo = path.join(daemon.scratch, `fifo-${randomBytes(4).toString('hex')}`);
	makeFifo(fifo, 0o600);
	using reader = new FifoReader(fifo);
	const {tasks} = client.services;
	await createTask(client, id, {stdout: fifo, stderr: fifo, ...request});
	await tasks.start({containerId: id});
	const {exitStatus} = await tasks.wait({containerId: id});
	let text = '';
	await reader.toEnd(chunk => {
		text += chunk.toString();
	});
	await tasks.delete({containerId: id});
	return {text, code: exitStatus};
}

/** Options that choose the binary of an OCI runtime. */
export function byRuntime(binaryName: string): Pick<CreateTaskRequest, 'options'> {
	return {options: {typeUrl: 'containerd.runc.v1.Options', value: Options.encode(Options.fromPartial({binaryName})).finish()}};
}

export async function remove(ctr: Ctr, ...ids: readonly string[]): Promise<void> {
	for (const id of ids) {
		await ctr.run('tasks', 'rm', '--force', id);
		await ctr.ok('containers', 'rm', id);
	}
}
