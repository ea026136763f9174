import type {ContainerInfo, Metadata} from '../../../contracts/metadata/metadata.ts';
import {parseIdentifier} from '../../../contracts/oci/identifier.ts';
import type {CreateTask} from '../../../contracts/task/task.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {Options} from '../../../api/gen/types/runc/options/oci.ts';
import {joinCgroup, makeCgroup} from '../../../lib/sys/control-group.ts';
import {failpoint} from '../protocol/failpoint.ts';
import {Bundle, type ShimAddress} from './bundle.ts';
import {removeDeadSocket} from './dead-socket.ts';
import {LogPipe} from './log-pipe.ts';
import {withOciRuntime} from './oci-runtime-option.ts';
import {findRuntimeBinary} from './runtime-binary.ts';
import type {RunningShim} from './running-shim.ts';
import {prefixed} from './shim-errors.ts';
import {readSpec, withNetworkPath, type SpecFacts} from './spec-network.ts';
import {Task} from './task.ts';
import type {TaskWorld} from './task-world.ts';
import {unpackCheckpoint} from './unpack-checkpoint.ts';

/**
 * Makes a task: container record → bundle → network → mounts → shim → runtime. Resolves once init waits to be started. Whatever fails,
 * everything that was made before it is unmade, newest first.
 */
export async function createTask(world: TaskWorld, metadata: Metadata, namespace: string, request: CreateTask, signal: AbortSignal): Promise<Task> {
	const containerId = parseIdentifier(request.containerId, 'container id');
	using _ = world.registry.reserve(namespace, containerId);
	const container = await metadata.scope({namespace}).containers.get(containerId);
	const specBytes = specOf(container);
	const spec = readSpec(specBytes);
	// Whole, and only when there are any: clients send an Any without bytes for none.
	const given = request.options !== undefined && request.options.value.length > 0 ? request.options : container.runtime.options;
	const runtimeName = request.runtimePath || container.runtime.name;
	const binary = await findRuntimeBinary(runtimeName, world.search);
	const options = withOciRuntime(given, runtimeName, binary, world.search);
	const bundle = new Bundle(world.place, namespace, containerId);

	await using half = new AsyncDisposableStack();
	await bundle.create(specBytes, {rootGid: spec.rootGid, shimBinary: binary});
	half.defer(async () => bundle.remove());
	failpoint('daemon.create.bundle');
	if (request.checkpoint !== undefined) {
		const {content} = metadata.scope({namespace});
		await unpackCheckpoint(request.checkpoint, {content, differ: world.differ, directory: bundle.checkpointPath, namespace, signal});
	}
	const network = await attachNetwork(world, {container, spec, specBytes, bundle, half}, signal);
	const logPipe = half.use(await LogPipe.open(bundle.path, world.log.with({namespace, container: containerId})));
	const rootfs = await world.mounts.activate(bundle, request.rootfs, {half, signal});
	const task = new Task(bundle, network);
	failpoint('daemon.create.network');
	const shim = container.sandbox === ''
		? await acquireShim(world, bundle, binary, request, options, signal)
		: await borrowShim(world, metadata, bundle, {binary, sandboxId: container.sandbox, given: taskApiOf(request, options), signal});
	half.defer(async () => world.pool.release(shim, containerId));
	task.shim = shim;
	task.hasCheckpoint = request.checkpoint !== undefined;
	try {
		failpoint('daemon.create.shim');
		await bundle.writeAddress(shim.address);
		failpoint('daemon.create.address');
		await moveShim(world, shim, containerId, options);
		const {terminal, stdin, stdout, stderr} = request;
		const {pid} = await shim.pulse.guard(async () => shim.task.create({
			id: containerId, bundle: bundle.path, terminal, stdin, stdout, stderr, rootfs: [...rootfs],
			// As in containerd: options may name the directory of an image to restore.
			checkpoint: request.checkpoint === undefined ? runcOptions(options).criuImagePath : bundle.checkpointPath,
			options,
		}, {timeoutMs: world.deadlines.call}));
		task.pid = pid;
		failpoint('daemon.create.made');
		task.stdio = {terminal, stdin, stdout, stderr};
	} catch (error) {
		await world.cleanUpShim(task);
		if (shim.isClosed) {
			await removeDeadSocket(shim.address);
		}
		throw prefixed('failed to create shim task', error);
	}
	task.logPipe = logPipe;
	half.move();
	world.registry.add(task);
	return task;
}

interface HalfMade {
	readonly container: ContainerInfo;
	readonly spec: SpecFacts;
	readonly specBytes: Uint8Array;
	readonly bundle: Bundle;
	readonly half: AsyncDisposableStack;
}

async function attachNetwork(world: TaskWorld, {container, spec, specBytes, bundle, half}: HalfMade, signal: AbortSignal): Promise<Task['network']> {
	if (!spec.wantsNetwork) {
		return undefined;
	}
	const {networks} = world;
	const request = await networks.attach({namespace: bundle.namespace, containerId: container.id, labels: container.labels, annotations: spec.annotations}, signal);
	half.defer(async () => networks.detach(request));
	// In the bundle's copy alone: the record's spec is the client's.
	await bundle.writeConfig(withNetworkPath(specBytes, request.path));
	return request;
}

async function acquireShim(
	{pool, program, search}: TaskWorld, bundle: Bundle, binary: string, {runtimePath = ''}: CreateTask, options: CreateTask['options'], signal: AbortSignal,
): Promise<RunningShim> {
	// A cgroup of the shim's own, or a binary that the client chose, is a wish to be alone.
	const {shimCgroup} = runcOptions(options);
	try {
		if (shimCgroup !== '' && binary !== search.own) {
			await makeCgroup(shimCgroup);
		}
		return await pool.acquire(program(binary), bundle, {isShared: binary === search.own && runtimePath === '' && shimCgroup === '', options, signal});
	} catch (error) {
		throw prefixed('failed to start shim', error);
	}
}

// As in containerd: what runs the sandbox runs its containers, whatever their own records say of a runtime.
async function borrowShim({pool, program, sandboxes}: TaskWorld, metadata: Metadata, bundle: Bundle, {binary, sandboxId, given, signal}: {
	readonly binary: string; readonly sandboxId: string; readonly given: ShimAddress | undefined; readonly signal: AbortSignal;
}): Promise<RunningShim> {
	const adopt = async (address: ShimAddress): Promise<RunningShim> => {
		await bundle.writeSandbox(sandboxId);
		return pool.adopt(program(binary), bundle, address, {isShared: false, isBorrowed: true, signal});
	};
	if (given !== undefined) {
		return adopt(given);
	}
	const {namespace} = bundle;
	const {sandboxer} = await metadata.scope({namespace}).sandboxes.get(sandboxId);
	const controller = sandboxes.get(sandboxer || 'shim');
	if (controller === undefined) {
		throw new KeelsonError('NOT_FOUND', `sandbox ${sandboxId} is run by ${sandboxer}: no such sandbox controller`);
	}
	const {address, version} = await controller.sandboxes(namespace).status(sandboxId, false, signal);
	return adopt({address, version, protocol: 'ttrpc'});
}

// Of a controller that keeps addresses to itself, clients hand on what its Start answered: in the request, or in runc's options.
function taskApiOf({taskApi}: CreateTask, options: CreateTask['options']): ShimAddress | undefined {
	const {taskApiAddress, taskApiVersion} = runcOptions(options);
	const {address, version} = taskApi ?? {address: taskApiAddress, version: taskApiVersion};
	if (address === '') {
		return undefined;
	}
	if (!/^(?:unix:\/\/)?\/./v.test(address) || (version !== 2 && version !== 3)) {
		throw new KeelsonError('INVALID_ARGUMENT', `task API ${address}, version ${version}: expected unix:///path and version 2 or 3`);
	}
	return {address, version, protocol: 'ttrpc'};
}

// Our own does so itself; of the others only some, and those only when told in the way of their age.
async function moveShim({search, deadlines}: TaskWorld, shim: RunningShim, id: string, options: CreateTask['options']): Promise<void> {
	const {shimCgroup} = runcOptions(options);
	if (shimCgroup !== '' && shim.program.path !== search.own) {
		const {shimPid} = await shim.task.connect({id}, {timeoutMs: deadlines.load});
		await joinCgroup(shimCgroup, shimPid);
	}
}

function runcOptions(options: CreateTask['options']): Options {
	return options?.typeUrl === 'containerd.runc.v1.Options' ? Options.decode(options.value) : Options.fromPartial({});
}

function specOf({id, spec}: ContainerInfo): Uint8Array {
	if (spec === undefined || spec.value.length === 0) {
		throw new KeelsonError('FAILED_PRECONDITION', `container ${id} has no spec`);
	}
	return spec.value;
}
