import type {Readable, Writable} from 'node:stream';
import {dateOf} from '../../api/convert/timestamp.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';
import type {Container} from './container.ts';
import {outputLines, type OutputLine} from './output-lines.ts';
import {signalNumber} from './signal.ts';
import type {Stdio} from './stdio.ts';

/** How a process ended: its own code, or 128 and the signal that ended it. */
export interface Exit {
	readonly exitCode: number;
	readonly exitedAt: Date | undefined;
}

/** A process of a container that this client started: its first one, or one that was added to it. */
export class Process implements AsyncDisposable {
	readonly container: Container;
	/** Empty for the container's first process. */
	readonly execId: string;
	/** On the daemon's machine. */
	readonly pid: number;
	readonly #services: Services;
	readonly #stdio: Stdio;
	readonly #remove: () => Promise<unknown>;

	/** @internal Made by `run` and `exec`. */
	constructor({container, execId, pid, services, stdio, remove}: {
		readonly container: Container;
		readonly execId: string;
		readonly pid: number;
		readonly services: Services;
		readonly stdio: Stdio;
		readonly remove: () => Promise<unknown>;
	}) {
		this.container = container;
		this.execId = execId;
		this.pid = pid;
		this.#services = services;
		this.#stdio = stdio;
		this.#remove = remove;
	}

	/** Undefined unless it was started with pipes. End it when nothing more comes: many programs wait for that. */
	get stdin(): Writable | undefined {
		return this.#stdio.stdin;
	}

	/** Undefined unless it was started with pipes. Ends when the process has. */
	get stdout(): Readable | undefined {
		return this.#stdio.stdout;
	}

	/** Undefined unless it was started with pipes and without a terminal. */
	get stderr(): Readable | undefined {
		return this.#stdio.stderr;
	}

	/** What it prints, line by line, instead of `stdout` and `stderr`. Ends when the process has; leaving it early closes both. */
	lines(): AsyncGenerator<OutputLine, void, undefined> {
		return outputLines(this.#stdio);
	}

	/** Resolves when it has ended, also when asked again; its output may still have something to read. */
	async wait(options: CallOptions = {}): Promise<Exit> {
		const {exitStatus, exitedAt} = await this.#services.tasks.wait({containerId: this.container.id, execId: this.execId}, options);
		return {exitCode: exitStatus, exitedAt: dateOf(exitedAt)};
	}

	/** Rejects with NOT_FOUND when it has ended, INVALID_ARGUMENT when there is no such signal. */
	async kill(signal: string | number = 'SIGTERM', options: CallOptions = {}): Promise<void> {
		await this.#services.tasks.kill({containerId: this.container.id, execId: this.execId, signal: signalNumber(signal)}, options);
	}

	/** Tells the terminal its size. */
	async resize(size: {readonly columns: number; readonly rows: number}, options: CallOptions = {}): Promise<void> {
		await this.#services.tasks.resizePty({containerId: this.container.id, execId: this.execId, width: size.columns, height: size.rows}, options);
	}

	/** Gives back what the daemon keeps of a process that has ended. Resolves with how it ended; rejects with FAILED_PRECONDITION while it runs. */
	async delete(options: CallOptions = {}): Promise<Exit> {
		const {exitStatus, exitedAt} = this.execId === ''
			? await this.#services.tasks.delete({containerId: this.container.id}, options)
			: await this.#services.tasks.deleteProcess({containerId: this.container.id, execId: this.execId}, options);
		return {exitCode: exitStatus, exitedAt: dateOf(exitedAt)};
	}

	/** Closes the streams; the process goes on. */
	async detach(): Promise<void> {
		await this.#stdio[Symbol.asyncDispose]();
	}

	/** Ends it by force if it runs, and removes it; for a container's first process, the container with it. */
	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.#remove();
		} finally {
			await this.detach();
		}
	}
}
