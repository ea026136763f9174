import {readFileSync} from 'node:fs';
import {open, rm, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';
import type {OciRuntime, OciRuntimeOptions, RuntimeCheckpoint, RuntimeCreate, RuntimeExec, RuntimeRestore, RuntimeState, RuntimeStdio} from '../../contracts/oci-runtime/oci-runtime.ts';
import {checkpointArguments, createArguments, execArguments, restoreArguments} from './runtime-arguments.ts';
import {startByFifo} from './exec-fifo.ts';
import type {ProgramOptions, RunProgram} from './run-program.ts';
import {endOfLog, lastErrorSince} from './runtime-log.ts';
import {parseRuntimeState} from './runtime-state.ts';

/** Of what a runtime prints (a list of pids, its features). */
const outputBytesMax = 16 * 1024 * 1024;

/** An OCI runtime driven by the command line that runc and crun share. Holds nothing open between calls. */
export class CommandLineRuntime implements OciRuntime {
	readonly #program: string;
	readonly #options: OciRuntimeOptions;
	readonly #run: RunProgram;
	#calls = 0;

	/** @param program the binary's absolute path */
	constructor(program: string, options: OciRuntimeOptions, run: RunProgram) {
		this.#program = program;
		this.#options = options;
		this.#run = run;
	}

	async create(request: RuntimeCreate): Promise<number> {
		await this.#call(createArguments(request), {fds: descriptors(request.stdio), cwd: request.bundle, signal: request.signal});
		return readPid(request.pidFile);
	}

	async restore(request: RuntimeRestore): Promise<number> {
		await this.#call(restoreArguments(request), {fds: descriptors(request.stdio), cwd: request.bundle, signal: request.signal, ...criuEnvironment(request)});
		return readPid(request.pidFile);
	}

	async start(id: string, signal?: AbortSignal): Promise<void> {
		if (!await startByFifo(path.join(this.#options.root, id), signal)) {
			await this.#call(['start', id], {signal});
		}
	}

	async exec(request: RuntimeExec): Promise<number> {
		await this.#call(execArguments(request), {fds: descriptors(request.stdio), signal: request.signal});
		return readPid(request.pidFile);
	}

	async kill(id: string, signalNumber: number, {all = false, signal}: {readonly all?: boolean; readonly signal?: AbortSignal} = {}): Promise<void> {
		await this.#call(['kill', ...(all ? ['--all'] : []), id, String(signalNumber)], {signal});
	}

	async pause(id: string, signal?: AbortSignal): Promise<void> {
		await this.#call(['pause', id], {signal});
	}

	async resume(id: string, signal?: AbortSignal): Promise<void> {
		await this.#call(['resume', id], {signal});
	}

	async update(id: string, resources: Uint8Array, signal?: AbortSignal): Promise<void> {
		await using input = await this.#scratch('resources');
		await input.file.writeFile(resources);
		await this.#call(['update', '--resources', input.path, id], {signal});
	}

	async ps(id: string, signal?: AbortSignal): Promise<readonly number[]> {
		const pids: unknown = parseJson(await this.#output(['ps', '--format', 'json', id], signal), 'ps');
		// A container without processes is printed as null.
		return Array.isArray(pids) ? pids.filter(pid => typeof pid === 'number') : [];
	}

	async checkpoint(id: string, request: RuntimeCheckpoint): Promise<void> {
		await this.#call(checkpointArguments(id, request), {signal: request.signal, ...criuEnvironment(request)});
	}

	async delete(id: string, {force = false, signal}: {readonly force?: boolean; readonly signal?: AbortSignal} = {}): Promise<void> {
		await this.#call(['delete', ...(force ? ['--force'] : []), id], {signal});
	}

	async state(id: string, signal?: AbortSignal): Promise<RuntimeState> {
		return parseRuntimeState(parseJson(await this.#output(['state', id], signal), 'state'));
	}

	async features(signal?: AbortSignal): Promise<Uint8Array | undefined> {
		try {
			const output = await this.#output(['features'], signal);
			return output.length > 0 ? output : undefined;
		} catch (error) {
			signal?.throwIfAborted();
			// Runtimes older than the command answer with their usage, in words of their own.
			if (error instanceof KeelsonError && error.code === 'UNKNOWN') {
				return undefined;
			}
			throw error;
		}
	}

	async #output(words: readonly string[], signal: AbortSignal | undefined): Promise<Buffer> {
		await using output = await this.#scratch('output');
		await this.#call(words, {fds: {1: output.file.fd}, signal});
		const {size} = await output.file.stat();
		if (size > outputBytesMax) {
			throw new KeelsonError('RESOURCE_EXHAUSTED', `${this.#program} ${words[0]} printed ${size} bytes, at most ${outputBytesMax}`);
		}
		const {buffer, bytesRead} = await output.file.read(Buffer.alloc(size), 0, size, 0);
		return buffer.subarray(0, bytesRead);
	}

	async #call(words: readonly string[], options: Partial<ProgramOptions>): Promise<void> {
		const {root, log, systemdCgroup} = this.#options;
		const from = endOfLog(log);
		const all = ['--root', root, '--log', log, '--log-format', 'json', ...(systemdCgroup ? ['--systemd-cgroup'] : []), ...words];
		const {exitCode, signal} = await this.#run(this.#program, all, {fds: {}, ...options});
		if (exitCode === 0) {
			return;
		}
		options.signal?.throwIfAborted();
		const said = await lastErrorSince(log, from);
		const message = said ?? `${path.basename(this.#program)} ${words[0]} ended with ${signal ?? `exit status ${exitCode}`} and logged no error`;
		throw new KeelsonError(isAboutNothing(message) ? 'NOT_FOUND' : 'UNKNOWN', message);
	}

	async #scratch(name: string): Promise<Scratch> {
		this.#calls++;
		const file = `${this.#options.log}.${process.pid}-${this.#calls}.${name}`;
		return new Scratch(file, await open(file, 'wx+', 0o600));
	}
}

// A file and not a pipe: nobody has to read while the runtime writes, and what a runtime leaves running may hold it open.
class Scratch implements AsyncDisposable {
	readonly path: string;
	readonly file: FileHandle;

	constructor(file: string, handle: FileHandle) {
		this.path = file;
		this.file = handle;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await rm(this.path, {force: true});
		await this.file.close();
	}
}

// runc says the first two; crun, which opens its status file or the directory of its state, the others.
function isAboutNothing(message: string): boolean {
	return message.includes('container does not exist') || /container .*does not exist/.test(message)
		|| /error opening file .*\/status`?: No such file or directory/.test(message) || /cannot open directory .*: No such file or directory/.test(message);
}

function descriptors({stdin, stdout, stderr}: RuntimeStdio): Record<number, number> {
	return {...(stdin === null ? {} : {0: stdin}), ...(stdout === null ? {} : {1: stdout}), ...(stderr === null ? {} : {2: stderr})};
}

// The runtime's child inherits it. A file of the client's, which its spec may name, counts beside it.
function criuEnvironment({criuConfig}: Pick<RuntimeCheckpoint, 'criuConfig'>): Pick<ProgramOptions, 'env'> {
	return criuConfig === undefined ? {} : {env: {...process.env, CRIU_CONFIG_FILE: criuConfig}};
}

function readPid(file: string): number {
	const text = readFileSync(file, 'utf8');
	const pid = Number.parseInt(text, 10);
	if (!(pid > 0)) {
		throw new KeelsonError('INTERNAL', `pid file ${file} holds ${JSON.stringify(text.slice(0, 40))}, expected a pid`);
	}
	return pid;
}

function parseJson(bytes: Buffer, what: string): unknown {
	try {
		return JSON.parse(bytes.toString());
	} catch (error) {
		throw new KeelsonError('INTERNAL', `the runtime's ${what} printed ${JSON.stringify(bytes.toString().slice(0, 200))}, expected JSON`, {cause: error});
	}
}
