import {closeSync, constants, fchownSync, fstatSync, mkdirSync, openSync, statSync} from 'node:fs';
import path from 'node:path';
import type {RuntimeStdio} from '../../../contracts/oci-runtime/oci-runtime.ts';
import type {Stdio} from '../../../contracts/task/task.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {HeldBack} from './held-back.ts';
import type {LoggingBinary} from './logging-binary.ts';
import type {ProcessIo} from './process-io.ts';

export interface IoOwner {
	readonly uid: number;
	readonly gid: number;
}

/**
 * Standard streams that the process holds itself: the client's FIFOs, files, or pipes of a logging program. Of a FIFO we keep an end
 * open for reading and writing until the process is gone: a reader that comes and goes meanwhile sees no end, and the process no SIGPIPE.
 * Standard error alone goes through a pipe, since runtimes write there too.
 */
export class DirectIo implements ProcessIo {
	readonly child: RuntimeStdio;
	readonly #kept: number[];
	readonly #handed: number[];
	readonly #logger: LoggingBinary | undefined;
	readonly #heldBack: HeldBack | undefined;
	#stdinKept: number | undefined;

	private constructor({child, kept, handed, stdinKept, logger, heldBack}: {
		readonly child: RuntimeStdio; readonly kept: number[]; readonly handed: number[]; readonly stdinKept: number | undefined;
		readonly logger: LoggingBinary | undefined; readonly heldBack: HeldBack | undefined;
	}) {
		this.#heldBack = heldBack;
		this.child = child;
		this.#kept = kept;
		this.#handed = handed;
		this.#stdinKept = stdinKept;
		this.#logger = logger;
	}

	/** Never blocks. Rejects with NOT_FOUND for a FIFO that is not there; then nothing is open. */
	static open(stdio: Stdio, owner: IoOwner, logger: LoggingBinary | undefined): DirectIo {
		const kept: number[] = [];
		const handed: number[] = [];
		try {
			const stdin = stdio.stdin === '' ? undefined : openInput(stdio.stdin, handed);
			const output = (uri: string, ofLogger: number | undefined): number | null => ofLogger ?? (uri === '' ? null : openOutput(uri, owner, kept, handed));
			const stdout = output(stdio.stdout, logger?.stdout);
			const stderr = output(stdio.stderr, logger?.stderr);
			const heldBack = stderr !== null && logger === undefined && fstatSync(stderr).isFIFO() ? new HeldBack(stderr) : undefined;
			if (heldBack !== undefined) {
				handed.splice(handed.indexOf(stderr ?? -1), 1);
			}
			const child = {stdin: stdin?.reader ?? null, stdout, stderr: heldBack?.writer ?? stderr};
			return new DirectIo({child, kept, handed, stdinKept: stdin?.kept, logger, heldBack});
		} catch (error) {
			[...kept, ...handed].forEach(fd => closeSync(fd));
			throw error;
		}
	}

	async handedOver(): Promise<void> {
		this.#closeHanded();
		this.#heldBack?.start();
	}

	#closeHanded(): void {
		this.#handed.splice(0).forEach(fd => closeSync(fd));
		this.#logger?.handedOver();
	}

	closeStdin(): void {
		if (this.#stdinKept !== undefined) {
			closeSync(this.#stdinKept);
			this.#stdinKept = undefined;
		}
	}

	resize(): void {
		throw new KeelsonError('FAILED_PRECONDITION', 'the process has no terminal');
	}

	async finish(): Promise<void> {
		this.closeStdin();
		this.#closeHanded();
		await this.#heldBack?.finish();
		this.#kept.splice(0).forEach(fd => closeSync(fd));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.finish();
		await this.#logger?.[Symbol.asyncDispose]();
	}
}

/** Opens what a client named for output. What `kept` gets stays open until the process ends, what `handed` gets until it has it. */
export function openOutput(uri: string, owner: IoOwner, kept: number[], handed: number[]): number {
	const file = toPath(uri);
	const isFile = uri.startsWith('file://');
	if (isFile) {
		mkdirSync(path.dirname(file), {recursive: true, mode: 0o755});
	} else if (isFifo(file)) {
		kept.push(openFifo(file, constants.O_RDWR, owner));
		// At once: there is a reader, us.
		return push(handed, openSync(file, constants.O_WRONLY));
	}
	return push(handed, openSync(file, constants.O_WRONLY | constants.O_APPEND | (isFile ? constants.O_CREAT : 0), 0o644));
}

/** Opens a client's FIFO to read from; `kept` is our writing end, without which the process would see the end before the client came. */
export function openInput(uri: string, handed: number[]): {readonly reader: number; readonly kept: number | undefined} {
	const file = toPath(uri);
	if (!isFifo(file)) {
		return {reader: push(handed, openSync(file, constants.O_RDONLY)), kept: undefined};
	}
	const kept = openSync(file, constants.O_RDWR);
	try {
		return {reader: push(handed, openSync(file, constants.O_RDONLY)), kept};
	} catch (error) {
		closeSync(kept);
		throw error;
	}
}

/** The path within a `fifo://`, `file://` or scheme-less URI. Throws INVALID_ARGUMENT for another scheme. */
export function toPath(uri: string): string {
	const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/s.exec(uri) ?? [];
	if (scheme === undefined || rest === undefined) {
		return uri;
	}
	if (scheme !== 'fifo' && scheme !== 'file') {
		throw new KeelsonError('INVALID_ARGUMENT', `stdio ${JSON.stringify(uri.slice(0, 200))} has scheme ${scheme}, expected fifo, file or binary`);
	}
	return decodeURIComponent(rest.split('?', 1)[0] ?? '');
}

function openFifo(file: string, flags: number, {uid, gid}: IoOwner): number {
	const fd = openSync(file, flags);
	if (uid !== 0 || gid !== 0) {
		fchownSync(fd, uid, gid);
	}
	return fd;
}

function isFifo(file: string): boolean {
	try {
		return statSync(file).isFIFO();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			throw new KeelsonError('NOT_FOUND', `stdio ${file}: no such file`, {cause: error});
		}
		throw error;
	}
}

function push(into: number[], fd: number): number {
	into.push(fd);
	return fd;
}
