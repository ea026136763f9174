import {closeSync} from 'node:fs';
import {Socket} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {createPipe} from '../../../lib/sys/pipe.ts';
import {KeelsonError} from '../../../kernel/errors.ts';
import type {Reaper} from './reaper.ts';

const readyMs = 10_000;
const drainMs = 2000;
const termMs = 10_000;

/** Whether a URI names a program, in either version of the protocol. */
export function isLoggingUri(uri: string): boolean {
	return /^binary(?:-v2)?:\/\//.test(uri);
}

/**
 * A program that takes a container's output, named by a URI `binary:///path?argument=value`: it reads standard output on descriptor 3,
 * standard error on 4, and closes 5 when it is ready. With `binary-v2:` it writes a byte to 5 before; one that ends without is
 * a failure, which the first version cannot tell from readiness. The same protocols as containerd's.
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

	/** Resolves when the program says that it is ready. Rejects with DEADLINE_EXCEEDED after ten seconds, and, in the second version, with UNAVAILABLE when it ends before; then it is gone. */
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
			await readiness(ready.reader, uri);
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
	const [name = '', query = ''] = uri.slice(uri.indexOf('://') + '://'.length).split(/\?(.*)/s);
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

async function readiness(fd: number, uri: string): Promise<void> {
	using socket = new ReadySocket(new Socket({fd, readable: true, writable: false}));
	const said = new Promise<'a byte' | 'the end'>((resolve, reject) => {
		socket.socket.once('data', () => resolve('a byte')).once('end', () => resolve('the end')).once('error', reject).resume();
	});
	const late = new AbortController();
	try {
		const first = await Promise.race([said, sleep(readyMs, undefined, {signal: late.signal})]);
		if (first === undefined) {
			throw new KeelsonError('DEADLINE_EXCEEDED', `logging binary ${uri} was not ready within ${readyMs} ms`);
		}
		if (first === 'the end' && uri.startsWith('binary-v2:')) {
			throw new KeelsonError('UNAVAILABLE', `logging binary ${uri} ended before it was ready`);
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
