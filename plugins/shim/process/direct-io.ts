import {closeSync, fstatSync} from 'node:fs';
import type {RuntimeStdio} from '../../../contracts/oci-runtime/oci-runtime.ts';
import type {Stdio} from '../../../contracts/task/task.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {bytesWaiting, createPipe} from '../../../lib/sys/pipe.ts';
import {CopiedInput} from './copied-input.ts';
import {CopiedOutput} from './copied-output.ts';
import {isLoggingUri, type LoggingBinary} from './logging-binary.ts';
import {openInput, openOutput, type IoOwner} from './open-output.ts';
import type {ProcessIo} from './process-io.ts';
import type {HeldKind} from '../protocol/spare-service.ts';
import type {HeldProcess} from './held-process.ts';
import type {PumpOptions} from './pump.ts';
import type {StdioMode} from '../protocol/stdio-mode.ts';

export interface StdioPolicy {
	readonly mode: StdioMode;
	readonly owner: IoOwner;
	/** The process comes from a checkpoint: where its streams were pipes or FIFOs, CRIU takes nothing else for them. */
	readonly isRestored: boolean;
	/** How each output is passed on where it is copied. */
	readonly pump: (stream: 'stdout' | 'stderr') => PumpOptions;
}

/**
 * Standard streams without a terminal: the process holds the client's FIFOs itself, files, or pipes of a logging program, and what must be
 * copied goes through pipes of ours. Standard error always does where it is a FIFO: runtimes say there, beside their log where we read it,
 * why they failed, and that is not for the client.
 */
export class DirectIo implements ProcessIo {
	readonly child: RuntimeStdio;
	readonly #parts: Parts;

	private constructor(parts: Parts) {
		const {stdin, stdout, stderr} = parts;
		this.#parts = parts;
		this.child = {stdin: stdin ?? null, stdout: stdout ?? null, stderr: stderr ?? null};
	}

	/** Never blocks. Rejects with NOT_FOUND for a FIFO that is not there; then nothing is open. */
	static open(stdio: Stdio, policy: StdioPolicy, logger: LoggingBinary | undefined): DirectIo {
		const parts: Parts = {logger, copies: [], handed: [], kept: [], stdout: logger?.stdout, stderr: logger?.stderr};
		try {
			if (stdio.stdin !== '') {
				openStdin(parts, stdio.stdin, policy.mode === 'copied');
			} else if (policy.isRestored) {
				emptyStdin(parts);
			}
			for (const stream of ['stdout', 'stderr'] as const) {
				const uri = stdio[stream] === '' && policy.isRestored ? '/dev/null' : stdio[stream];
				if (logger === undefined && uri !== '') {
					openStream(parts, stream, uri, policy);
				}
			}
			return new DirectIo(parts);
		} catch (error) {
			closeAll(parts);
			throw error;
		}
	}

	/** Takes up the streams of a process whose shim is gone. What the client has removed meanwhile is left out. */
	static adopt(stdio: Stdio, policy: StdioPolicy, {held, isStdinClosed}: Adopted): DirectIo {
		const parts: Parts = {logger: undefined, copies: [], handed: [], kept: [], stdout: undefined, stderr: undefined};
		adoptStdin(parts, isStdinClosed ? '' : stdio.stdin, held);
		for (const stream of ['stdout', 'stderr'] as const) {
			const output = stdio[stream] === '' || isLoggingUri(stdio[stream]) ? undefined : ifThere(() => openOutput(stdio[stream], policy.owner));
			const reader = held?.take(stream);
			if (reader !== undefined) {
				parts.copies.push({stream, copy: CopiedOutput.resume(reader, output ?? openOutput('/dev/null', policy.owner), policy.pump(stream))});
			} else if (output !== undefined) {
				closeSync(output.fd);
				parts.kept.push(...output.kept);
			}
		}
		// Of a FIFO that the client has removed.
		const lastEnd = parts.kept.length === 0 ? held?.take('output') : undefined;
		if (lastEnd !== undefined) {
			parts.kept.push(lastEnd);
		}
		return new DirectIo(parts);
	}

	descriptors(): readonly {readonly kind: HeldKind; readonly fd: number}[] {
		const {stdinKept, input, copies, kept: [output]} = this.#parts;
		const all = [{kind: 'stdin', fd: stdinKept}, {kind: 'input', fd: input?.writer}, {kind: 'output', fd: output}, ...copies.map(({stream, copy}) => ({kind: stream, fd: copy.reader}))] as const;
		return all.flatMap(({kind, fd}) => fd === undefined ? [] : [{kind, fd}]);
	}

	async handedOver(): Promise<void> {
		this.#closeHanded();
		this.#parts.copies.forEach(({copy}) => copy.start());
		this.#parts.input?.start();
	}

	closeStdin(): void {
		if (this.#parts.stdinKept !== undefined) {
			closeSync(this.#parts.stdinKept);
			this.#parts.stdinKept = undefined;
		}
	}

	resize(): void {
		throw new KeelsonError('FAILED_PRECONDITION', 'the process has no terminal');
	}

	waiting(): number {
		const {kept, copies} = this.#parts;
		return kept.reduce((sum, fd) => sum + bytesWaiting(fd), 0) + copies.reduce((sum, {copy}) => sum + copy.waiting(), 0);
	}

	async finish(): Promise<void> {
		this.#closeOwn();
		await Promise.all(this.#parts.copies.map(async ({copy}) => copy.finish()));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closeOwn();
		await Promise.all(this.#parts.copies.map(async ({copy}) => copy.forget()));
		await this.#parts.logger?.[Symbol.asyncDispose]();
	}

	#closeOwn(): void {
		this.closeStdin();
		this.#closeHanded();
		this.#parts.input?.close();
		this.#parts.kept.splice(0).forEach(fd => closeSync(fd));
	}

	#closeHanded(): void {
		this.#parts.handed.splice(0).forEach(fd => closeSync(fd));
		this.#parts.logger?.handedOver();
	}
}

interface Parts {
	readonly logger: LoggingBinary | undefined;
	readonly copies: {readonly stream: 'stdout' | 'stderr'; readonly copy: CopiedOutput}[];
	/** Open until the process has them. */
	readonly handed: number[];
	/** Open until the process is gone. */
	readonly kept: number[];
	input?: CopiedInput;
	stdinKept?: number | undefined;
	stdin?: number;
	stdout: number | undefined;
	stderr: number | undefined;
}

/** What is known of the streams of a process that was another shim's. */
export interface Adopted {
	readonly held: HeldProcess | undefined;
	/** By the client, at the shim that is gone. */
	readonly isStdinClosed: boolean;
}

/** Undefined where it fails. */
export function ifThere<T>(open: () => T): T | undefined {
	try {
		return open();
	} catch {
		return undefined;
	}
}

function adoptStdin(parts: Parts, uri: string, held: HeldProcess | undefined): void {
	const writer = held?.take('input');
	const input = uri === '' ? undefined : ifThere(() => openInput(uri));
	if (input === undefined) {
		if (writer !== undefined) {
			closeSync(writer);
		}
		return;
	}
	parts.stdinKept = input.kept;
	if (writer === undefined) {
		closeSync(input.reader);
	} else {
		parts.input = CopiedInput.resume(input.reader, writer);
	}
}

function openStdin(parts: Parts, uri: string, isCopied: boolean): void {
	const {reader, kept} = openInput(uri);
	parts.stdinKept = kept;
	if (isCopied && kept !== undefined) {
		parts.input = CopiedInput.create(reader);
		parts.stdin = parts.input.reader;
		return;
	}
	parts.handed.push(reader);
	parts.stdin = reader;
}

function emptyStdin(parts: Parts): void {
	const {reader, writer} = createPipe();
	closeSync(writer);
	parts.handed.push(reader);
	parts.stdin = reader;
}

function openStream(parts: Parts, stream: 'stdout' | 'stderr', uri: string, {mode, owner, isRestored, pump}: StdioPolicy): void {
	const output = openOutput(uri, owner);
	const isFifo = fstatSync(output.fd).isFIFO();
	// A file takes all at once.
	if (mode === 'copied' || (isFifo ? mode === 'buffered' || stream === 'stderr' : isRestored)) {
		const copy = CopiedOutput.create(output, owner, pump(stream));
		parts.copies.push({stream, copy});
		parts[stream] = copy.writer;
		return;
	}
	parts.handed.push(output.fd);
	parts.kept.push(...output.kept);
	parts[stream] = output.fd;
}

// Before anybody has been given any of it.
function closeAll({copies, handed, kept, input, stdinKept}: Parts): void {
	copies.forEach(({copy}) => void copy.finish());
	input?.close();
	[...handed, ...kept, ...(stdinKept === undefined ? [] : [stdinKept])].forEach(fd => closeSync(fd));
}
