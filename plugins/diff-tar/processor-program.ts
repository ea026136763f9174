import {spawn, type ChildProcess} from 'node:child_process';
import {closeSync} from 'node:fs';
import {Socket} from 'node:net';
import {constants} from 'node:os';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Any} from '../../contracts/oci/any.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {createPipe} from '../../lib/sys/pipe.ts';
import {encodeAny} from './encode-any.ts';
import {findProgram} from './find-program.ts';
import type {Stage} from './processor-chain.ts';

/** Of what a program says last, so much is kept for the error; the rest is read and dropped, so that it does not wait for a reader. */
const errorBytesMax = 4096;
/** Somebody whom the program has left behind may hold its standard error open: nobody waits longer for that. */
const errorWaitMs = 1000;

export interface ProgramFds {
	/** What it reads on 0, and writes on 1; both stay the caller's to close. */
	readonly input: number;
	readonly output: number;
}

/**
 * A stream processor's process. It is given, as containerd gives it, the daemon's environment, the entry's own, the media type, and the payload on descriptor 3: real
 * pipes, which programs may open by /dev/fd as well. It leads a process group, so that what a script has started ends with it.
 */
export class ProcessorProgram implements AsyncDisposable {
	readonly #name: string;
	readonly #child: ChildProcess;
	readonly #errors: Socket;
	readonly #payload: Socket | undefined;
	readonly #exited: Promise<{readonly code: number | null; readonly signal: string | null}>;
	#said = Buffer.alloc(0);

	private constructor(name: string, child: ChildProcess, {errors, payload}: {readonly errors: Socket; readonly payload: Socket | undefined}) {
		this.#name = name;
		this.#child = child;
		this.#errors = errors.on('error', () => undefined).on('data', (bytes: Buffer) => {
			this.#said = Buffer.concat([this.#said, bytes]).subarray(-errorBytesMax);
		});
		// A program need not read it.
		this.#payload = payload?.on('error', () => undefined);
		this.#exited = new Promise(resolve => {
			child.once('exit', (code, signal) => resolve({code, signal}));
		});
	}

	/** Resolves once it runs. Rejects with FAILED_PRECONDITION when there is no such program, or it cannot be started. */
	static async start({processor: {id, path: wanted, args, env}, mediaType}: Stage, {input, output}: ProgramFds, payload: Any | undefined): Promise<ProcessorProgram> {
		const name = `stream processor ${id}`;
		const file = path.isAbsolute(wanted) ? wanted : findProgram(wanted, process.env['PATH'] ?? '');
		if (file === undefined) {
			throw new KeelsonError('FAILED_PRECONDITION', `${name}: no directory of PATH (${process.env['PATH'] ?? ''}) has a program ${JSON.stringify(wanted)}`);
		}
		const errors = createPipe();
		const extra = payload === undefined ? undefined : createPipe();
		const sockets = {
			errors: new Socket({fd: errors.reader, readable: true, writable: false}),
			payload: extra === undefined ? undefined : new Socket({fd: extra.writer, readable: false, writable: true}),
		};
		try {
			const child = spawn(file, args, {
				stdio: [input, output, errors.writer, ...extra === undefined ? [] : [extra.reader]], detached: true,
				env: {...process.env, ...Object.fromEntries(env.map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])), STREAM_PROCESSOR_MEDIATYPE: mediaType},
			});
			const program = new ProcessorProgram(name, child, sockets);
			await new Promise((resolve, reject) => {
				child.once('spawn', resolve).once('error', reject);
			});
			// Whatever goes wrong with it later is told by its end.
			child.on('error', () => undefined);
			sockets.payload?.end(payload === undefined ? '' : encodeAny(payload));
			return program;
		} catch (error) {
			sockets.errors.destroy();
			sockets.payload?.destroy();
			throw new KeelsonError('FAILED_PRECONDITION', `${name}: cannot start ${file}: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
		} finally {
			closeSync(errors.writer);
			if (extra !== undefined) {
				closeSync(extra.reader);
			}
		}
	}

	/** Resolves once it has ended, with why it failed. `isUnread`: only because nobody read what it wrote. */
	async failure(): Promise<{readonly error: KeelsonError; readonly isUnread: boolean} | undefined> {
		const {code, signal} = await this.#exited;
		if (code === 0) {
			return undefined;
		}
		if (!this.#errors.readableEnded && !this.#errors.destroyed) {
			const ended = new AbortController();
			const end = new Promise<void>(resolve => {
				this.#errors.once('close', resolve);
			});
			await Promise.race([end, sleep(errorWaitMs, undefined, {signal: ended.signal}).catch(() => undefined)]);
			ended.abort();
		}
		const said = this.#said.toString('utf8').trim();
		return {
			error: new KeelsonError('UNKNOWN', `${this.#name} ended with ${signal ?? code}${said === '' ? ', and said nothing' : `: ${said}`}`),
			isUnread: signal === 'SIGPIPE' || code === 128 + constants.signals.SIGPIPE,
		};
	}

	/** SIGKILL for it and for what it has started; nothing once it has ended. */
	kill(): void {
		const {pid, exitCode, signalCode} = this.#child;
		if (pid === undefined || exitCode !== null || signalCode !== null) {
			return;
		}
		try {
			process.kill(-pid, 'SIGKILL');
		} catch {
			// It has ended by itself just now.
		}
	}

	/** Kills it where it still runs; resolves once it has ended. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.kill();
		await this.#exited;
		this.#errors.destroy();
		this.#payload?.destroy();
	}
}
