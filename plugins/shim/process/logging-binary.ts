import {closeSync} from 'node:fs';
import {Socket} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {createPipe} from '../../../lib/sys/pipe.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {Reaper} from './reaper.ts';

const readyMs = 10_000;
const drainMs = 2000;
const termMs = 10_000;

/**
 * A program that takes a container's output, named by a URI `binary:///path?argument=value`: it reads standard output on descriptor 3,
 * standard error on 4, and closes 5 when it is ready. The same protocol as containerd's.
 */
export class LoggingBinary implements AsyncDisposable {
	readonly stdout: number;
	readonly stderr: number;
	readonly #ended: Promise<unknown>;
	readonly #abort: AbortController;
	readonly #term: () => void;
	#open: number[];

	private constructor(stdout: number, stderr: number, running: {readonly ended: Promise<unknown>; readonly abort: AbortController; readonly term: () => void}) {
		this.stdout = stdout;
		this.stderr = stderr;
		this.#ended = running.ended;
		this.#abort = running.abort;
		this.#term = running.term;
		this.#open = [stdout, stderr];
	}

	/** Resolves when the program says that it is ready. Rejects with DEADLINE_EXCEEDED after ten seconds; then it is gone. */
	static async start(uri: string, container: {readonly id: string; readonly namespace: string}, reaper: Reaper): Promise<LoggingBinary> {
		const {path, args} = parseLoggingUri(uri);
		const [out, err, ready] = [createPipe(), createPipe(), createPipe()];
		const abort = new AbortController();
		const child = reaper.start(path, args, {
			fds: {3: out.reader, 4: err.reader, 5: ready.writer},
			env: {PATH: process.env['PATH'], CONTAINER_ID: container.id, CONTAINER_NAMESPACE: container.namespace},
			signal: abort.signal,
		}, () => [out.reader, err.reader, ready.writer].forEach(fd => closeSync(fd)));
		const logger = new LoggingBinary(out.writer, err.writer, {ended: child.ended, abort, term: child.term});
		try {
			await endOf(ready.reader, uri);
			return logger;
		} catch (error) {
			abort.abort();
			await logger[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** The caller's to close from now on. */
	takeStdout(): number {
		this.#open = this.#open.filter(fd => fd !== this.stdout);
		return this.stdout;
	}

	/** The process holds the pipes now. */
	handedOver(): void {
		this.#open.splice(0).forEach(fd => closeSync(fd));
	}

	/** Lets it read what is left, then asks it to end, then ends it. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.handedOver();
		if (await this.#endsWithin(drainMs)) {
			return;
		}
		this.#term();
		// Nobody waits for one that takes its time.
		void this.#endsWithin(termMs).then(isOver => {
			if (!isOver) {
				this.#abort.abort();
			}
		});
	}

	async #endsWithin(milliseconds: number): Promise<boolean> {
		return Promise.race([this.#ended.then(() => true), sleep(milliseconds, false, {ref: false})]);
	}
}

/** Throws INVALID_ARGUMENT unless it names an absolute path. */
export function parseLoggingUri(uri: string): {readonly path: string; readonly args: readonly string[]} {
	const [name = '', query = ''] = uri.slice('binary://'.length).split(/\?(.*)/s);
	const path = decodeURIComponent(name);
	if (!path.startsWith('/')) {
		throw new KeelsonError('INVALID_ARGUMENT', `logging binary ${JSON.stringify(uri.slice(0, 200))} must name an absolute path`);
	}
	const args = new Map<string, string>();
	for (const [key, value] of new URLSearchParams(query)) {
		if (!args.has(key)) {
			args.set(key, value);
		}
	}
	return {path, args: [...args].flat()};
}

async function endOf(fd: number, uri: string): Promise<void> {
	using socket = new ReadySocket(new Socket({fd, readable: true, writable: false}));
	const end = new Promise<boolean>((resolve, reject) => {
		socket.socket.once('data', () => resolve(true)).once('end', () => resolve(true)).once('error', reject).resume();
	});
	const late = new AbortController();
	try {
		if (!await Promise.race([end, sleep(readyMs, false, {signal: late.signal})])) {
			throw new KeelsonError('DEADLINE_EXCEEDED', `logging binary ${uri} was not ready within ${readyMs} ms`);
		}
	} finally {
		late.abort();
	}
}

class ReadySocket implements Disposable {
	readonly socket: Socket;

	constructor(socket: Socket) {
		this.socket = socket;
	}

	[Symbol.dispose](): void {
		this.socket.destroy();
	}
}
