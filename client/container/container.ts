import {randomBytes} from 'node:crypto';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';
import {mergedEnvironment} from '../spec/container-spec.ts';
import {PROCESS_TYPE, jsonAny, recordOf, taskOf, type ContainerRecord, type TaskRecord} from './container-record.ts';
import {readFiles, writeFiles, type FilesOptions, type ReadFilesOptions} from './files.ts';
import {logs, type LogsOptions} from './logs.ts';
import {Process, type Exit} from './process.ts';
import {signalNumber} from './signal.ts';
import {Stdio, type StdioChoice} from './stdio.ts';

export interface ExecOptions extends CallOptions {
	readonly args: readonly string[];
	/** `NAME=value`, over the container's. */
	readonly env?: readonly string[];
	readonly cwd?: string;
	readonly tty?: boolean;
	readonly size?: {readonly columns: number; readonly rows: number};
	/** Default `pipe`. */
	readonly stdio?: StdioChoice;
	/** Default: random. */
	readonly execId?: string;
}

export interface StopOptions extends CallOptions {
	/** Milliseconds until SIGKILL; default 10,000. */
	readonly timeMs?: number;
	/** Default: the one that the image asks for, or SIGTERM. */
	readonly killSignal?: string | number;
}

/** The label under which containerd's clients keep what the image says. */
export const STOP_SIGNAL_LABEL = 'io.containerd.image.config.stop-signal';

// What SIGKILL has not ended by then is held by the kernel.
const KILL_MS = 30_000;

/** A container of the daemon, by its id; whoever started it. */
export class Container {
	readonly id: string;
	readonly #services: Services;

	constructor(services: Services, id: string) {
		this.#services = services;
		this.id = id;
	}

	/** Rejects with NOT_FOUND. */
	async inspect(options: CallOptions = {}): Promise<ContainerRecord> {
		const {container} = await this.#services.containers.get({id: this.id}, options);
		if (container === undefined) {
			throw new KeelsonError('INTERNAL', `the daemon answered without the container ${this.id}`);
		}
		return {...recordOf(container, undefined), task: await this.task(options)};
	}

	/** Its first process; undefined while none was started, or when it was deleted. */
	async task(options: CallOptions = {}): Promise<TaskRecord | undefined> {
		const answer = await ignoring('NOT_FOUND', this.#services.tasks.get({containerId: this.id}, options));
		return answer?.process === undefined ? undefined : taskOf(answer.process);
	}

	/** Resolves when its first process has ended. */
	async wait(options: CallOptions = {}): Promise<Exit> {
		const {exitStatus, exitedAt} = await this.#services.tasks.wait({containerId: this.id}, options);
		return {exitCode: exitStatus, exitedAt: exitedAt === undefined ? undefined : new Date(Number(exitedAt.seconds) * 1000 + exitedAt.nanos / 1e6)};
	}

	/** To its first process, or with `all` to each. Rejects with NOT_FOUND when that has ended. */
	async kill(signal: string | number = 'SIGTERM', {all = false, ...options}: CallOptions & {readonly all?: boolean} = {}): Promise<void> {
		await this.#services.tasks.kill({containerId: this.id, signal: signalNumber(signal), all}, options);
	}

	/** Asks it to end, then makes it. Resolves when it has ended, with undefined where nothing ran. Rejects with NOT_FOUND. */
	async stop({timeMs = 10_000, killSignal, ...options}: StopOptions = {}): Promise<Exit | undefined> {
		const {labels, task} = await this.inspect(options);
		if (task === undefined) {
			return undefined;
		}
		if (task.status === 'stopped') {
			return this.wait(options);
		}
		await ignoring('NOT_FOUND', this.kill(killSignal ?? labels[STOP_SIGNAL_LABEL] ?? 'SIGTERM', options));
		if (task.status === 'paused') {
			await this.#services.tasks.resume({containerId: this.id}, options);
		}
		const soon = AbortSignal.timeout(timeMs);
		try {
			return await this.wait({...options, signal: options.signal === undefined ? soon : AbortSignal.any([options.signal, soon])});
		} catch (error) {
			if (!soon.aborted || options.signal?.aborted === true) {
				throw error;
			}
		}
		return this.#killAll(options);
	}

	/** Starts another process in it. Rejects with FAILED_PRECONDITION or NOT_FOUND where its first process does not run. */
	async exec({args, env = [], cwd, tty = false, size, stdio: choice = 'pipe', execId = `exec-${randomBytes(8).toString('hex')}`, ...options}: ExecOptions): Promise<Process> {
		const {spec} = await this.inspect(options);
		if (spec === undefined) {
			throw new KeelsonError('FAILED_PRECONDITION', `container ${this.id} has no OCI runtime spec`);
		}
		const {terminal: _terminal, consoleSize: _size, ...base} = spec.process;
		const process = {
			...base, args, cwd: cwd ?? base.cwd,
			env: mergedEnvironment(base.env, [...tty ? ['TERM=xterm'] : [], ...env]),
			...(tty ? {terminal: true} : {}),
			...(tty && size !== undefined ? {consoleSize: {width: size.columns, height: size.rows}} : {}),
		};
		await using undo = new AsyncDisposableStack();
		const names = {containerId: this.id, execId};
		const stdio = undo.use(await Stdio.open(choice, {tty, inputClosed: async () => {
			await this.#services.tasks.closeIO({...names, stdin: true}).catch(gone);
		}}));
		await this.#services.tasks.exec({...names, ...stdio.paths, spec: jsonAny(PROCESS_TYPE, process)}, options);
		undo.defer(async () => {
			await this.#services.tasks.deleteProcess(names).catch(gone);
		});
		const {pid} = await this.#services.tasks.start(names, options);
		undo.move();
		return new Process({container: this, execId, pid, services: this.#services, stdio, remove: async () => this.#removeExec(execId)});
	}

	/** Removes it with its files. Rejects with NOT_FOUND, and with FAILED_PRECONDITION while it runs, unless forced. */
	async remove({force = false, ...options}: CallOptions & {readonly force?: boolean} = {}): Promise<void> {
		const {task, snapshotter, snapshotKey} = await this.inspect(options);
		if (task !== undefined && task.status !== 'stopped') {
			if (!force && task.status !== 'created') {
				throw new KeelsonError('FAILED_PRECONDITION', `container ${this.id} is ${task.status}: stop it first, or force`);
			}
			await this.#killAll(options);
		}
		await ignoring('NOT_FOUND', this.#services.tasks.delete({containerId: this.id}, options));
		await this.#services.containers.delete({id: this.id}, options);
		if (snapshotKey !== '') {
			await ignoring('NOT_FOUND', this.#services.snapshots.remove({snapshotter, key: snapshotKey}, options));
		}
	}

	/** The lines that it has printed into the file that it was started with (`stdio: {log: ...}`): see `logs` in logs.ts. */
	logs(options: LogsOptions = {}): AsyncGenerator<string, void, undefined> {
		return logs(this.#services, this.id, options);
	}

	/** Hands on what is at a path of it, as a tar: see `readFiles` in files.ts. Also while it runs. */
	async readFiles(path: string, write: (chunk: Uint8Array) => Promise<void>, options: ReadFilesOptions = {}): Promise<void> {
		await readFiles(this.#services, {containerId: this.id, path}, write, options);
	}

	/** Puts the files of a tar into a directory of it: see `writeFiles` in files.ts. Also while it runs. */
	async writeFiles(path: string, tar: AsyncIterable<Uint8Array>, options: FilesOptions = {}): Promise<void> {
		await writeFiles(this.#services, {containerId: this.id, path}, tar, options);
	}

	async #killAll(options: CallOptions): Promise<Exit> {
		await ignoring('NOT_FOUND', this.kill('SIGKILL', {...options, all: true}));
		// The frozen die when they are thawed (cgroup v1).
		await this.#services.tasks.resume({containerId: this.id}, options).catch(gone);
		const late = AbortSignal.timeout(KILL_MS);
		return this.wait({...options, signal: options.signal === undefined ? late : AbortSignal.any([options.signal, late])});
	}

	async #removeExec(execId: string): Promise<void> {
		const names = {containerId: this.id, execId};
		await this.#services.tasks.kill({...names, signal: signalNumber('SIGKILL')}).catch(gone);
		await this.#services.tasks.wait(names, {signal: AbortSignal.timeout(KILL_MS)}).catch(gone);
		await this.#services.tasks.deleteProcess(names).catch(gone);
	}
}

async function ignoring<T>(code: 'NOT_FOUND', call: Promise<T>): Promise<T | undefined> {
	try {
		return await call;
	} catch (error) {
		if (isKeelsonError(error, code)) {
			return undefined;
		}
		throw error;
	}
}

/** Of a process that may be over: that there is nothing left to do is no failure. */
export function gone(error: unknown): undefined {
	if (!isKeelsonError(error)) {
		throw error;
	}
}
