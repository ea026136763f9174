import {closeSync, createWriteStream, fstatSync} from 'node:fs';
import {Socket} from 'node:net';
import type {Writable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {ReadStream} from 'node:tty';
import type {Stdio} from '../../../contracts/task/task.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import {ConsoleSocket} from '../../../lib/sys/console-socket.ts';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {resizeTerminal, type TerminalSize} from '../../../lib/sys/terminal.ts';
import {openInput, openOutput, type IoOwner} from './direct-io.ts';
import type {LoggingBinary} from './logging-binary.ts';
import type {ProcessIo} from './process-io.ts';

const receiveMs = 10_000;
/** Time for the rest of a terminal's output to reach a client that reads slowly, or not at all. */
const drainMs = 2000;

/** A terminal's master end, copied to and from the client's FIFOs. */
export class TerminalIo implements ProcessIo {
	readonly child = {stdin: null, stdout: null, stderr: null};
	readonly #socket: ConsoleSocket;
	readonly #output: Writable;
	readonly #input: Socket | undefined;
	readonly #kept: number[];
	readonly #logger: LoggingBinary | undefined;
	#stdinKept: number | undefined;
	#fd: number | undefined;
	#master: ReadStream | undefined;
	#copied: Promise<void> = Promise.resolve();

	private constructor(socket: ConsoleSocket, streams: {
		readonly output: Writable; readonly input: Socket | undefined; readonly kept: number[]; readonly stdinKept: number | undefined; readonly logger: LoggingBinary | undefined;
	}) {
		this.#socket = socket;
		this.#output = streams.output;
		this.#input = streams.input;
		this.#kept = streams.kept;
		this.#stdinKept = streams.stdinKept;
		this.#logger = streams.logger;
		for (const stream of [this.#output, this.#input]) {
			// The client is gone, or a file system is full: the terminal goes on without.
			stream?.on('error', () => undefined);
		}
	}

	/** @param socketPath where no file is, of at most 107 bytes */
	static open(stdio: Stdio, owner: IoOwner, {socketPath, watcher, logger}: {
		readonly socketPath: string; readonly watcher: DescriptorWatcher; readonly logger: LoggingBinary | undefined;
	}): TerminalIo {
		const socket = ConsoleSocket.listen(socketPath, watcher);
		const kept: number[] = [];
		const handed: number[] = [];
		try {
			const outputFd = logger?.takeStdout() ?? openOutput(stdio.stdout === '' ? '/dev/null' : stdio.stdout, owner, kept, handed);
			const input = stdio.stdin === '' ? undefined : openInput(stdio.stdin, handed);
			return new TerminalIo(socket, {
				output: toWritable(outputFd), kept, logger, stdinKept: input?.kept,
				input: input === undefined ? undefined : new Socket({fd: input.reader, readable: true, writable: false}).pause(),
			});
		} catch (error) {
			[...kept, ...handed].forEach(fd => closeSync(fd));
			void socket[Symbol.asyncDispose]();
			throw error;
		}
	}

	get consoleSocket(): string {
		return this.#socket.path;
	}

	async handedOver(): Promise<void> {
		if (this.#master !== undefined) {
			return;
		}
		this.#fd = await this.#socket.receive(AbortSignal.timeout(receiveMs));
		await this.#socket[Symbol.asyncDispose]();
		const master = new ReadStream(this.#fd, {highWaterMark: 64 * 1024} as never);
		this.#master = master;
		// EIO is how a terminal ends when its last user has closed it.
		master.on('error', () => undefined);
		this.#copied = copy(master, this.#output);
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

	async finish(): Promise<void> {
		await Promise.race([this.#copied, sleep(drainMs, undefined, {ref: false})]);
		this.closeStdin();
		this.#master?.destroy();
		this.#input?.destroy();
		this.#output.destroy();
		this.#logger?.handedOver();
		this.#kept.splice(0).forEach(fd => closeSync(fd));
		await this.#socket[Symbol.asyncDispose]();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.finish();
		await this.#logger?.[Symbol.asyncDispose]();
	}
}

// By hand and not with pipe(): the end of the terminal must not shut down a FIFO, for which Node would call shutdown(2).
async function copy(from: ReadStream, to: Writable): Promise<void> {
	try {
		for await (const chunk of from as AsyncIterable<Buffer>) {
			await new Promise<void>(resolve => to.write(chunk, () => resolve()));
		}
	} catch {
		// The end; see above.
	}
}

// A FIFO's reader may be slow: never a thread of the pool on it. Node polls FIFOs, and has threads for files.
function toWritable(fd: number): Writable {
	return fstatSync(fd).isFIFO() ? new Socket({fd, readable: false, writable: true}) : createWriteStream('', {fd});
}
