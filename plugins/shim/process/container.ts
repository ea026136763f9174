import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {OciRuntime, RuntimeCreate} from '../../../contracts/oci-runtime/oci-runtime.ts';
import type {ProcessExit, Stdio} from '../../../contracts/task/task.ts';
import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';
import {cgroupOf, removeCgroup, type ContainerCgroup} from './container-cgroup.ts';
import type {CheckpointOptions} from './container-options.ts';
import type {ContainerPlace, ContainerSetup} from './container-place.ts';
import {DropCount} from './drop-count.ts';
import {dump, workOf} from './dump.ts';
import {restoreConfig} from './held-files.ts';
import {failpoint} from '../protocol/failpoint.ts';
import {forgetExec, recordExit} from '../protocol/process-record.ts';
import {heldKey} from '../protocol/spare-service.ts';
import {OomWatch} from './oom-watch.ts';
import type {IoRequest} from './open-io.ts';
import type {ChildExit} from './reaper.ts';
import {inRuntimeWords} from './runtime-call.ts';
import {Serial} from '../protocol/serial.ts';
import {handOver, receiptOf, recordTrace} from './process-trace.ts';
import {TaskProcess} from './task-process.ts';
import {untilTaken} from './until-taken.ts';

/** Execs are given this long to end after init, which then ends them for everybody who waits. */
const execsEndMs = 10_000;

/** One container of the shim: init, execs, and the order in which their lives are told. */
export class ShimContainer {
	readonly setup: ContainerSetup;
	readonly runtime: OciRuntime;
	readonly init: TaskProcess;
	readonly execs = new Map<string, TaskProcess>();
	cgroup: ContainerCgroup | undefined;
	/** Changes of the container's state, one at a time. */
	readonly changes = new Serial();
	readonly #place: ContainerPlace;
	readonly #drops: DropCount;
	#oom: OomWatch | undefined;
	#removed: Promise<void> | undefined;

	constructor(setup: ContainerSetup, runtime: OciRuntime, place: ContainerPlace) {
		this.setup = setup;
		this.runtime = runtime;
		this.#place = place;
		this.#drops = new DropCount(setup.bundle, message => place.log(message));
		this.init = new TaskProcess('', setup.stdio);
	}

	get id(): string {
		return this.setup.id;
	}

	/** Throws NOT_FOUND. */
	process(execId: string): TaskProcess {
		const found = execId === '' ? this.init : this.execs.get(execId);
		if (found === undefined) {
			throw new KeelsonError('NOT_FOUND', `process ${execId} of container ${this.id}: no such process`);
		}
		return found;
	}

	/** Makes the container, which waits for start. `told` publishes that it is there. After a failure the runtime knows nothing of it. */
	async create(told: (pid: number) => void): Promise<number> {
		const {id, checkpoint} = this.setup;
		this.init.io = await this.#place.io.open(this.init.stdio, this.ioRequest(''));
		try {
			// With a checkpoint the process comes to be at start.
			if (checkpoint === '') {
				const {pid, exited} = await this.#spawn(this.init, async () => inRuntimeWords('OCI runtime create failed', this.runtime.create(this.#creation())));
				failpoint('shim.create.runtime');
				this.account(pid);
				this.follow(this.init, pid, exited);
			} else {
				recordTrace(this.setup.bundle, this.init, checkpoint);
			}
			told(this.init.pid);
			failpoint('shim.create.told');
			return this.init.pid;
		} catch (error) {
			await this.init.io[Symbol.asyncDispose]();
			// The runtime takes back what it could not make; an id that it refused may be somebody else's container.
			if (this.init.pid !== 0) {
				await this.runtime.delete(id, {force: true}).catch(() => undefined);
			}
			throw error;
		}
	}

	async start(execId: string): Promise<number> {
		const process = this.process(execId);
		if (process.isStartUntold) {
			return this.#tellStart(process);
		}
		if (process.status !== 'created' || (process.pid !== 0 && execId !== '')) {
			throw new KeelsonError('FAILED_PRECONDITION', `cannot start process ${execId || this.id}: it is ${process.status}`);
		}
		const work = execId === '' ? this.#startInit() : this.#startExec(process);
		process.settled = work.catch(() => undefined);
		return work;
	}

	/** Takes the container from the runtime, once; after a failure the next call tries again. Somebody may have done so behind our back. */
	async removeFromRuntime({force = false}: {readonly force?: boolean} = {}): Promise<void> {
		this.#removed ??= this.#remove(force).catch((error: unknown) => {
			this.#removed = undefined;
			throw error;
		});
		await this.#removed;
	}

	async #remove(force: boolean): Promise<void> {
		await this.runtime.delete(this.id, {force}).catch((error: unknown) => {
			if (!isKeelsonError(error, 'NOT_FOUND')) {
				throw error;
			}
		});
		if (this.cgroup !== undefined) {
			await removeCgroup(this.cgroup);
		}
	}

	async addExec(execId: string, stdio: Stdio, spec: Uint8Array): Promise<void> {
		if (this.execs.has(execId)) {
			throw new KeelsonError('ALREADY_EXISTS', `id ${execId}: already exists`);
		}
		const process = new TaskProcess(execId, stdio);
		forgetExec(this.setup.bundle, execId);
		this.execs.set(execId, process);
		try {
			writeFileSync(this.#execFile(execId, 'json'), spec, {mode: 0o600});
			recordTrace(this.setup.bundle, process);
		} catch (error) {
			this.forget(execId);
			throw error;
		}
		failpoint('shim.exec.added');
		this.#place.publish('containerd.events.TaskExecAdded', {containerId: this.id, execId});
	}

	async checkpoint(path: string, options: CheckpointOptions): Promise<void> {
		await dump(this, path, options);
		this.#place.publish('containerd.events.TaskCheckpointed', {containerId: this.id, checkpoint: path});
	}

	async #startInit(): Promise<number> {
		failpoint('shim.start.asked');
		const {checkpoint, options, bundle} = this.setup;
		if (checkpoint === '') {
			await inRuntimeWords('OCI runtime start failed', this.runtime.start(this.id));
		} else {
			const workPath = options.criuWorkPath || workOf(bundle);
			const criuConfig = await restoreConfig(bundle, checkpoint);
			const {pid, exited} = await this.#spawn(this.init, async () => inRuntimeWords('OCI runtime restore failed',
				this.runtime.restore({...this.#creation(), imagePath: checkpoint, workPath, criuConfig})));
			this.account(pid);
			this.follow(this.init, pid, exited);
		}
		failpoint('shim.start.runtime');
		this.init.status = this.init.exit === undefined ? 'running' : 'stopped';
		return this.#tellStart(this.init);
	}

	async #startExec(exec: TaskProcess): Promise<number> {
		if (this.init.status === 'stopped') {
			throw new KeelsonError('FAILED_PRECONDITION', `cannot exec in a stopped container: ${this.id}`);
		}
		if (this.init.status === 'paused') {
			throw new KeelsonError('FAILED_PRECONDITION', `cannot exec in a paused container: ${this.id}`);
		}
		const {id} = this.setup;
		exec.io = await this.#place.io.open(exec.stdio, this.ioRequest(exec.execId));
		try {
			const {pid, exited} = await this.#spawn(exec, async ({child, consoleSocket}) => inRuntimeWords('OCI runtime exec failed', this.runtime.exec({
				id, stdio: child, processFile: this.#execFile(exec.execId, 'json'), pidFile: this.#execFile(exec.execId, 'pid'),
				...(consoleSocket === undefined ? {} : {consoleSocket}),
			})));
			failpoint('shim.exec.runtime');
			exec.status = 'running';
			this.follow(exec, pid, exited);
			return this.#tellStart(exec);
		} catch (error) {
			await exec.io[Symbol.asyncDispose]();
			exec.io = undefined;
			throw error;
		}
	}

	ioRequest(execId: string): IoRequest {
		const {id, checkpoint, options: {ioUid, ioGid}, stdioMode} = this.setup;
		return {
			id, namespace: this.#place.namespace, execId, mode: stdioMode, owner: {uid: ioUid, gid: ioGid},
			isRestored: execId === '' && checkpoint !== '', drops: this.#drops,
		};
	}

	closeStdin(execId: string): void {
		const process = this.process(execId);
		process.closeStdin();
		if (process.exit === undefined) {
			const {bundle, checkpoint} = this.setup;
			recordTrace(bundle, process, process === this.init && process.pid === 0 && checkpoint !== '' ? checkpoint : undefined);
		}
		this.#place.depot.again(heldKey(this.id, execId));
	}

	/** An exec that has ended, or never began: its id may be used again. */
	forget(execId: string): void {
		this.execs.delete(execId);
		forgetExec(this.setup.bundle, execId);
	}

	#tellStart(process: TaskProcess): number {
		const {execId, pid} = process;
		process.isStartUntold = false;
		const receipt = receiptOf(this.setup.bundle, execId, 'start');
		if (execId === '') {
			this.#place.publish('containerd.events.TaskStart', {containerId: this.id, pid}, receipt);
		} else {
			this.#place.publish('containerd.events.TaskExecStarted', {containerId: this.id, execId, pid}, receipt);
		}
		return pid;
	}

	#creation(): RuntimeCreate {
		const {id, bundle, options: {noPivotRoot, noNewKeyring}} = this.setup;
		const {child, consoleSocket} = this.init.io ?? {child: {stdin: null, stdout: null, stderr: null}};
		return {id, bundle, stdio: child, pidFile: path.join(bundle, 'init.pid'), noPivotRoot, noNewKeyring, ...(consoleSocket === undefined ? {} : {consoleSocket})};
	}

	#execFile(execId: string, suffix: string): string {
		return path.join(this.setup.bundle, `exec-${execId}.${suffix}`);
	}

	// The process may have ended when the runtime's own process is reaped and its pid file read.
	async #spawn(process: TaskProcess, spawn: (io: NonNullable<TaskProcess['io']>) => Promise<number>): Promise<{pid: number; exited: Promise<ChildExit>}> {
		const {io} = process;
		if (io === undefined) {
			throw new KeelsonError('INTERNAL', `streams of process ${process.execId || this.id} are not open`);
		}
		using expectation = this.#place.reaper.expect();
		const pid = await spawn(io);
		process.pid = pid;
		const exited = expectation.claim(pid);
		await io.handedOver();
		return {pid, exited};
	}

	/** Takes note of the groups that its processes are counted in. */
	account(pid: number): void {
		this.cgroup = cgroupOf(pid);
		if (this.cgroup !== undefined) {
			this.#oom = OomWatch.start(this.cgroup, this.#place.watcher, () => {
				this.#place.publish('containerd.events.TaskOOM', {containerId: this.id});
			});
		}
	}

	/** From now on the end of a process is told, once, and what must outlive this shim is in the spare's hands. */
	follow(process: TaskProcess, pid: number, exited: Promise<ChildExit>): void {
		recordTrace(this.setup.bundle, process);
		handOver(this.#place.depot, heldKey(this.id, process.execId), this.setup.bundle, process);
		void exited.then(async exit => this.#ended(process, {pid, ...exit})).catch((error: unknown) => {
			this.#place.log(`the end of process ${pid} of ${this.id} could not be handled: ${String(error)}`);
		});
	}

	async #ended(process: TaskProcess, {pid, exitStatus, exitedAt}: ProcessExit): Promise<void> {
		failpoint('shim.exit.reaped');
		recordExit(this.setup.bundle, process.execId, {pid, exitStatus, exitedAt});
		// Not before it is written down: until then the spare is who could tell.
		this.#place.depot.drop(heldKey(this.id, process.execId));
		failpoint('shim.exit.rest');
		// What is told first: that it started, then that it ended.
		await process.settled;
		if (process.isStartUntold) {
			this.#tellStart(process);
		}
		this.#oom?.check();
		if (process === this.init) {
			this.#oom?.[Symbol.dispose]();
			await this.#endRest();
		}
		failpoint('shim.exit.recorded');
		await untilTaken(() => process.io?.waiting() ?? 0);
		// A client reads to the end before it deletes; a slow one is not waited for.
		const finished = process.io?.finish();
		process.end({pid, exitStatus, exitedAt});
		process.letGo();
		this.#place.publish('containerd.events.TaskExit', {containerId: this.id, id: process.execId || this.id, pid, exitStatus, exitedAt}, receiptOf(this.setup.bundle, process.execId, 'exit'));
		if (process === this.init && !this.setup.hasPoststopHooks) {
			// Now, and not when the task is deleted: the client reads and looks meanwhile. What fails is told to whoever deletes.
			void this.changes.run(async () => this.removeFromRuntime()).catch(() => undefined);
		}
		await finished;
	}

	// Init's end is the last that is told.
	async #endRest(): Promise<void> {
		const running = [...this.execs.values()].filter(({pid, exit}) => pid !== 0 && exit === undefined);
		if (!this.setup.hasOwnPidNamespace) {
			await this.runtime.kill(this.id, 9, {all: true}).catch((error: unknown) => {
				if (!isKeelsonError(error, 'NOT_FOUND')) {
					this.#place.log(`what is left of ${this.id} could not be killed: ${String(error)}`);
				}
			});
		}
		if (running.length > 0) {
			await Promise.race([Promise.all(running.map(async ({exited}) => exited)), sleep(execsEndMs, undefined, {ref: false})]);
		}
	}
}
