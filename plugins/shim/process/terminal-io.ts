import {closeSync} from 'node:fs';
import {Socket} from 'node:net';
import type {Writable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {ReadStream} from 'node:tty';
import type {Stdio} from '../../../contracts/task/task.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {ConsoleSocket} from '../../../lib/sys/console-socket.ts';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {bytesWaiting} from '../../../lib/sys/pipe.ts';
import {resizeTerminal, type TerminalSize} from '../../../lib/sys/terminal.ts';
import {forgetMs, toWritable} from './copied-output.ts';
import type {HeldKind} from '../protocol/spare-service.ts';
import {ifThere, type Adopted, type StdioPolicy} from './direct-io.ts';
import type {LoggingBinary} from './logging-binary.ts';
import {openInput, openOutput} from './open-output.ts';
import type {ProcessIo} from './process-io.ts';
import {pump, waiting, type PumpOptions} from './pump.ts';

const receiveMs = 10_000;

/** A terminal's master end, copied to and from the client's FIFOs. */
export class TerminalIo implements ProcessIo {
	readonly child = {stdin: null, stdout: null, stderr: null};
	/** Undefined where the terminal came another way. */
	readonly #socket: ConsoleSocket | undefined;
	readonly #output: Writable;
	readonly #input: Socket | undefined;
	readonly #kept: number[];
	readonly #logger: LoggingBinary | undefined;
	readonly #pump: PumpOptions;
	#stdinKept: number | undefined;
	#fd: number | undefined;
	#master: ReadStream | undefined;
	#copied: Promise<void> = Promise.resolve();

	private constructor(socket: ConsoleSocket | undefined, streams: Streams) {
		this.#socket = socket;
		this.#output = streams.output;
		this.#input = streams.input;
		this.#kept = streams.kept;
		this.#stdinKept = streams.stdinKept;
		this.#logger = streams.logger;
		this.#pump = streams.pump;
		for (const stream of [this.#output, this.#input]) {
			// The client is gone, or a file system is full: the terminal goes on without.
			stream?.on('error', () => undefined);
		}
	}

	/** @param socketPath where no file is, of at most 107 bytes */
	static open(stdio: Stdio, policy: StdioPolicy, {socketPath, watcher, logger}: {
		readonly socketPath: string; readonly watcher: DescriptorWatcher; readonly logger: LoggingBinary | undefined;
	}): TerminalIo {
		const socket = ConsoleSocket.listen(socketPath, watcher);
		try {
			return new TerminalIo(socket, openStreams(stdio, policy, logger));
		} catch (error) {
			void socket[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** Takes up the terminal of a process whose shim is gone; without its master it has been hung up, and this is for what comes after. */
	static adopt(stdio: Stdio, policy: StdioPolicy, {held, isStdinClosed}: Adopted, logger: LoggingBinary | undefined): TerminalIo {
		const streams = ifThere(() => openStreams(isStdinClosed ? {...stdio, stdin: ''} : stdio, policy, logger));
		const io = new TerminalIo(undefined, streams ?? openStreams({...stdio, stdin: '', stdout: ''}, policy, undefined));
		const master = held?.take('terminal');
		if (master !== undefined) {
			io.#attach(master);
		}
		return io;
	}

	descriptors(): readonly {readonly kind: HeldKind; readonly fd: number}[] {
		const terminal = this.#master?.destroyed === false ? this.#fd : undefined;
		const all = [{kind: 'stdin', fd: this.#stdinKept}, {kind: 'terminal', fd: terminal}] as const;
		return all.flatMap(({kind, fd}) => fd === undefined ? [] : [{kind, fd}]);
	}

	get consoleSocket(): string {
		return this.#socket?.path ?? '';
	}

	async handedOver(): Promise<void> {
		if (this.#master !== undefined || this.#socket === undefined) {
			return;
		}
		const fd = await this.#socket.receive(AbortSignal.timeout(receiveMs));
		await this.#socket[Symbol.asyncDispose]();
		this.#attach(fd);
	}

	#attach(fd: number): void {
		this.#fd = fd;
		const master = new ReadStream(fd, {highWaterMark: 64 * 1024} as never);
		this.#master = master;
		// EIO is how a terminal ends when its last user has closed it.
		master.on('error', () => undefined);
		this.#copied = pump(master as AsyncIterable<Buffer>, this.#output, this.#pump);
		this.#input?.on('data', (chunk: Buffer) => {
			if (!master.write(chunk)) {
				this.#input?.pause();
				master.once('drain', () => this.#input?.resume());
			}
		}).resume();
	}

	closeStdin(): void {
		if (this.#stdinKept !== undefined) {
			closeSync(this.#stdinKept);
			this.#stdinKept = undefined;
		}
	}

	resize(size: TerminalSize): void {
		if (this.#fd === undefined || this.#master?.destroyed !== false) {
			throw new KeelsonError('FAILED_PRECONDITION', 'the terminal is not open');
		}
		resizeTerminal(this.#fd, size);
	}

	waiting(): number {
		return this.#kept.reduce((sum, fd) => sum + bytesWaiting(fd), 0);
	}

	/** At the end of the terminal; earlier only where it was never handed over. */
	async finish(): Promise<void> {
		await this.#copied;
		await this.#close();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const late = new AbortController();
		await Promise.race([this.#copied, sleep(forgetMs, undefined, {ref: false, signal: late.signal}).catch(() => undefined)]);
		late.abort();
		await this.#close();
		await this.#logger?.[Symbol.asyncDispose]();
	}

	async #close(): Promise<void> {
		this.closeStdin();
		this.#master?.destroy();
		this.#input?.destroy();
		this.#output.destroy();
		this.#logger?.handedOver();
		this.#kept.splice(0).forEach(fd => closeSync(fd));
		await this.#socket?.[Symbol.asyncDispose]();
	}
}

interface Streams {
	readonly output: Writable;
	readonly input: Socket | undefined;
	readonly kept: number[];
	readonly stdinKept: number | undefined;
	readonly logger: LoggingBinary | undefined;
	readonly pump: PumpOptions;
}

/** The client's side of a terminal. On failure nothing is left open. */
function openStreams(stdio: Stdio, {owner, mode, pump: pumpOf}: StdioPolicy, logger: LoggingBinary | undefined): Streams {
	const opened: number[] = [];
	try {
		const output = logger === undefined ? openOutput(stdio.stdout === '' ? '/dev/null' : stdio.stdout, owner) : {fd: logger.takeStdout(), kept: []};
		opened.push(output.fd, ...output.kept);
		const input = stdio.stdin === '' ? undefined : openInput(stdio.stdin);
		return {
			output: toWritable(output.fd), kept: output.kept, logger, stdinKept: input?.kept,
			input: input === undefined ? undefined : new Socket({fd: input.reader, readable: true, writable: false}).pause(),
			pump: mode === 'buffered' ? pumpOf('stdout') : waiting,
		};
	} catch (error) {
		opened.forEach(fd => closeSync(fd));
		throw error;
	}
}
