import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {drained, tail} from './command.ts';
import {until} from './until.ts';

/** A command that goes on beside the test: `ctr events`, an attached `ctr run`. Ended with the scope that holds it. */
export class Background implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #line: string;
	stdout = '';
	stderr = '';

	constructor(file: string, args: readonly string[]) {
		this.#line = [file, ...args].join(' ');
		this.#child = spawn(file, args, {stdio: ['pipe', 'pipe', 'pipe']});
		this.#child.stdin?.on('error', () => undefined);
		this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
			this.stdout += text;
		});
		this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
			this.stderr += text;
		});
	}

	get pid(): number {
		return this.#child.pid ?? -1;
	}

	write(text: string): void {
		this.#child.stdin?.write(text);
	}

	/** Ends its standard input. */
	end(): void {
		this.#child.stdin?.end();
	}

	kill(signal: NodeJS.Signals): void {
		this.#child.kill(signal);
	}

	async prints(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpMatchArray> {
		return until(`${this.#line} to print ${pattern}`, () => pattern.exec(this.stdout) ?? undefined, {timeoutMs}).catch(cause => {
			throw new Error(`${cause.message}; stdout: ${tail(this.stdout)}; stderr: ${tail(this.stderr)}`, {cause});
		});
	}

	/** Its exit status, once it has ended and all that it printed is here; -1 where a signal ended it. */
	async exit(timeoutMs = 30_000): Promise<number> {
		await until(`${this.#line} to end`, () => this.#child.exitCode !== null || this.#child.signalCode !== null, {timeoutMs}).catch(cause => {
			throw new Error(`${cause.message}; stdout: ${tail(this.stdout)}; stderr: ${tail(this.stderr)}`, {cause});
		});
		await drained(this.#child);
		return this.#child.exitCode ?? -1;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			const gone = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await gone;
		}
	}
}
