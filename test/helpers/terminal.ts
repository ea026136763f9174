import {spawn, type ChildProcessByStdio} from 'node:child_process';
import {once} from 'node:events';
import type {Readable, Writable} from 'node:stream';
import {drained, tail} from './command.ts';
import {until} from './until.ts';

/** For a shell in a terminal: shows the terminal's size as soon as it has one. Clients set it once the process runs, which may be after the shell has read its first line. */
export const showSize = 'until stty size 2>/dev/null | grep " "; do sleep 0.1; done';

/** A program on a terminal of 24 rows and 80 columns (util-linux `script`), for commands that refuse to run without one. */
export class Terminal implements AsyncDisposable {
	readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
	#output = '';

	constructor(file: string, args: readonly string[]) {
		const line = `stty rows 24 cols 80; exec ${[file, ...args].map(word => `'${word.replaceAll('\'', String.raw`'\''`)}'`).join(' ')}`;
		this.#child = spawn('script', ['-q', '-e', '-c', line, '/dev/null'], {stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: {...process.env, TERM: 'xterm', SHELL: '/bin/sh'}});
		this.#child.stdin.on('error', () => undefined);
		for (const stream of [this.#child.stdout, this.#child.stderr]) {
			stream.setEncoding('utf8');
			stream.on('data', (text: string) => {
				this.#output += text;
			});
		}
	}

	/** All that the terminal has shown. */
	get output(): string {
		return this.#output;
	}

	/** Types on the keyboard: a newline is '\r', Ctrl-D '\x04'. */
	type(keys: string): void {
		this.#child.stdin.write(keys);
	}

	async shows(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpMatchArray> {
		return until(`a terminal to show ${pattern}`, () => pattern.exec(this.#output) ?? undefined, {timeoutMs}).catch(cause => {
			throw new Error(`${cause.message}; it shows: ${tail(this.#output)}`, {cause});
		});
	}

	/** The program's exit status, once it has ended and all that it showed is here. */
	async exit(timeoutMs = 30_000): Promise<number> {
		await until('a program on a terminal to end', () => this.#child.exitCode !== null || this.#child.signalCode !== null, {timeoutMs}).catch(cause => {
			throw new Error(`${cause.message}; it shows: ${tail(this.#output)}`, {cause});
		});
		await drained(this.#child);
		return this.#child.exitCode ?? -1;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			const gone = once(this.#child, 'exit');
			// The whole session: script's child holds the terminal.
			process.kill(-(this.#child.pid ?? 0), 'SIGKILL');
			await gone;
		}
	}
}
