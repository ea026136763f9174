import {mkdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import type {Mount} from '../../../contracts/oci/mount.ts';
import type {OciRuntime, OciRuntimes} from '../../../contracts/oci-runtime/oci-runtime.ts';
import type {ProcessExit, Stdio} from '../../../contracts/task/task.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {performMounts, UMOUNT, unmountAll} from '../../../lib/sys/mount.ts';
import {mountsUnder} from '../../../lib/sys/mount-table.ts';
import {joinCgroup} from '../../../lib/sys/control-group.ts';
import {beginRecords} from '../protocol/process-record.ts';
import {parseStdioMode, stdioAnnotation, type StdioMode} from '../protocol/stdio-mode.ts';
import {failpoint} from '../protocol/failpoint.ts';
import {recordOptions, type ContainerOptions} from './container-options.ts';
import {ShimContainer} from './container.ts';
import type {ContainerPlace} from './container-place.ts';
import {inRuntimeWords, toKillError} from './runtime-call.ts';
import {receiptOf} from './process-trace.ts';
import type {TaskProcess} from './task-process.ts';

/** A spec is small; what is not is no spec. */
const specBytesMax = 16 * 1024 * 1024;

export interface ShimPlace extends ContainerPlace {
	/** Where runtimes keep their state, unless a container's options say otherwise; below it a directory a namespace. */
	readonly runtimeRoot: string;
	/** For containers whose spec says nothing of it. */
	readonly stdio: StdioMode;
	readonly runtimes: OciRuntimes;
}

export interface CreateContainer {
	readonly id: string;
	readonly bundle: string;
	readonly rootfs: readonly Mount[];
	readonly stdio: Stdio;
	readonly options: ContainerOptions;
	readonly checkpoint: string;
}

/** The containers of one shim process. */
export class Shim {
	readonly #place: ShimPlace;
	readonly #containers = new Map<string, ShimContainer>();
	readonly #creating = new Map<string, Promise<number>>();

	constructor(place: ShimPlace) {
		this.#place = place;
	}

	/** Containers, and those that are being made. */
	get size(): number {
		return this.#containers.size + this.#creating.size;
	}

	get containers(): readonly ShimContainer[] {
		return [...this.#containers.values()];
	}

	/** Throws NOT_FOUND. */
	get(id: string): ShimContainer {
		const container = this.#containers.get(id);
		if (container === undefined) {
			throw new KeelsonError('NOT_FOUND', `container ${id}: not created`);
		}
		return container;
	}

	/** Throws NOT_FOUND; waits for one that is being made, which a daemon that died in between may have asked for. */
	async settled(id: string): Promise<ShimContainer> {
		await this.#creating.get(id)?.catch(() => undefined);
		return this.get(id);
	}

	/** Adds a container that another shim has made, which is gone. */
	adopt(container: ShimContainer): void {
		this.#containers.set(container.id, container);
	}

	/** Init's pid; 0 when there is no such container. */
	pidOf(id: string): number {
		return this.#containers.get(id)?.init.pid ?? 0;
	}

	/** Mounts the root file system, then makes the container. On failure nothing is left of either. */
	async create(request: CreateContainer): Promise<number> {
		const {id} = request;
		if (this.#containers.has(id) || this.#creating.has(id)) {
			throw new KeelsonError('ALREADY_EXISTS', `container ${id}: already exists`);
		}
		const creating = this.#create(request);
		this.#creating.set(id, creating);
		try {
			return await creating;
		} finally {
			this.#creating.delete(id);
		}
	}

	async delete(id: string, execId: string): Promise<ProcessExit> {
		const container = this.get(id);
		return container.changes.run(async () => execId === '' ? this.#deleteContainer(container) : deleteExec(container, execId));
	}

	async start(id: string, execId: string): Promise<number> {
		const container = this.get(id);
		return container.changes.run(async () => container.start(execId));
	}

	async pause(id: string): Promise<void> {
		const container = this.get(id);
		await container.changes.run(async () => {
			expectStatus(container, 'running', 'pause');
			await inRuntimeWords('OCI runtime pause failed', container.runtime.pause(id));
			container.init.status = 'paused';
			this.#place.publish('containerd.events.TaskPaused', {containerId: id});
		});
	}

	async resume(id: string): Promise<void> {
		const container = this.get(id);
		await container.changes.run(async () => {
			expectStatus(container, 'paused', 'resume');
			await inRuntimeWords('OCI runtime resume failed', container.runtime.resume(id));
			container.init.status = 'running';
			this.#place.publish('containerd.events.TaskResumed', {containerId: id});
		});
	}

	async kill(id: string, execId: string, signalNumber: number, all: boolean): Promise<void> {
		const container = this.get(id);
		const target = container.process(execId);
		if (target.exit !== undefined) {
			throw new KeelsonError('NOT_FOUND', 'process already finished');
		}
		if (target.pid === 0) {
			throw new KeelsonError('FAILED_PRECONDITION', 'process not created');
		}
		try {
			// What is frozen must be thawed to die, which is the runtime's part.
			if (all || container.init.status === 'paused') {
				await container.runtime.kill(id, signalNumber, {all});
			} else {
				target.signal(signalNumber);
			}
		} catch (error) {
			throw toKillError(error);
		}
	}

	async #create(request: CreateContainer): Promise<number> {
		const {id, bundle, options, rootfs, stdio, checkpoint} = request;
		const {namespace, runtimes, runtimeRoot, stdio: stdioDefault} = this.#place;
		const spec = readSpec(bundle);
		failpoint('shim.create.begun');
		const runtime = openRuntime({runtimes, runtimeRoot, namespace}, bundle, options);
		beginRecords(bundle);
		recordOptions(bundle, options);
		if (options.shimCgroup !== '') {
			await joinCgroup(options.shimCgroup, process.pid);
		}
		const target = path.join(bundle, 'rootfs');
		if (rootfs.length > 0) {
			mkdirSync(target, {recursive: true, mode: 0o711});
			await performMounts(rootfs, target);
		}
		failpoint('shim.create.mounted');
		const setup = {
			id, bundle, stdio, options, checkpoint, stdioMode: stdioModeOf(spec, stdioDefault), hasOwnPidNamespace: hasOwnPidNamespace(spec),
			hasPoststopHooks: (spec.hooks?.poststop?.length ?? 0) > 0,
		};
		const container = new ShimContainer(setup, runtime, this.#place);
		try {
			return await container.create(pid => {
				this.#containers.set(id, container);
				const {stdin, stdout, stderr, terminal} = stdio;
				this.#place.publish('containerd.events.TaskCreate', {containerId: id, bundle, rootfs, checkpoint, pid, io: {stdin, stdout, stderr, terminal}}, receiptOf(bundle, '', 'create'));
			});
		} catch (error) {
			await unmountBelow(target);
			throw error;
		}
	}

	async #deleteContainer(container: ShimContainer): Promise<ProcessExit> {
		const {id, init, setup: {bundle}} = container;
		if (init.status !== 'stopped' && init.status !== 'created') {
			throw new KeelsonError('FAILED_PRECONDITION', `cannot delete a ${init.status} process: container ${id}`);
		}
		// A created one is killed by it.
		await container.removeFromRuntime({force: init.status === 'created'});
		if (init.pid === 0) {
			init.end(neverStarted());
		}
		const exit = await init.exited;
		failpoint('shim.delete.runtime');
		// Whoever waits for one that never started waits no longer.
		container.execs.forEach(exec => exec.end(neverStarted()));
		await Promise.all([...container.execs.values(), init].map(async ({io}) => io?.[Symbol.asyncDispose]()));
		await unmountBelow(path.join(bundle, 'rootfs'));
		failpoint('shim.delete.unmounted');
		this.#containers.delete(id);
		this.#place.publish('containerd.events.TaskDelete', {containerId: id, id: '', pid: exit.pid, exitStatus: exit.exitStatus, exitedAt: exit.exitedAt});
		return exit;
	}
}

async function deleteExec(container: ShimContainer, execId: string): Promise<ProcessExit> {
	const exec = container.process(execId);
	if (exec.pid !== 0 && exec.exit === undefined) {
		throw new KeelsonError('FAILED_PRECONDITION', `cannot delete a ${exec.status} process: exec ${execId}`);
	}
	await exec.io?.[Symbol.asyncDispose]();
	container.forget(execId);
	// Whoever waits for one that never started waits no longer.
	exec.end(neverStarted());
	return exec.exited;
}

function neverStarted(): ProcessExit {
	return {pid: 0, exitStatus: 0, exitedAt: new Date()};
}

function expectStatus({id, init}: ShimContainer, expected: TaskProcess['status'], verb: string): void {
	if (init.status !== expected) {
		throw new KeelsonError('FAILED_PRECONDITION', `cannot ${verb} a ${init.status} process: container ${id}`);
	}
}

/** Takes away a container's root file system, with what was mounted into it from outside. */
export async function unmountBelow(directory: string): Promise<void> {
	for (const {mountPoint} of await mountsUnder(directory)) {
		await unmountAll(mountPoint, UMOUNT.DETACH);
	}
}

/** The runtime of one container. Throws NOT_FOUND when its binary is not there. */
export function openRuntime(
	{runtimes, runtimeRoot, namespace}: Pick<ShimPlace, 'runtimes' | 'runtimeRoot' | 'namespace'>, bundle: string, options: Pick<ContainerOptions, 'binaryName' | 'root' | 'systemdCgroup'>,
): OciRuntime {
	return runtimes.open({
		binary: options.binaryName || 'runc', root: path.join(options.root || runtimeRoot, namespace), log: path.join(bundle, 'log.json'), systemdCgroup: options.systemdCgroup,
	});
}

interface Spec {
	readonly annotations?: Readonly<Record<string, string>>;
	readonly hooks?: {readonly poststop?: readonly unknown[]};
	readonly linux?: {readonly namespaces?: readonly {readonly type?: string; readonly path?: string}[]};
}

export function readSpec(bundle: string): Spec {
	const text = readFileSync(path.join(bundle, 'config.json'));
	if (text.length > specBytesMax) {
		throw new KeelsonError('INVALID_ARGUMENT', `config.json in ${bundle} has ${text.length} bytes, at most ${specBytesMax}`);
	}
	return JSON.parse(text.toString()) as Spec;
}

export function stdioModeOf({annotations}: Spec, otherwise: StdioMode): StdioMode {
	const asked = annotations?.[stdioAnnotation];
	return asked === undefined ? otherwise : parseStdioMode(asked, `annotation ${stdioAnnotation}`);
}

export function hasOwnPidNamespace({linux}: Spec): boolean {
	return linux?.namespaces?.some(({type, path: at = ''}) => type === 'pid' && at === '') ?? false;
}
