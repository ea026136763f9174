import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {open, readFile} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {tail} from './command.ts';
import {until} from './until.ts';

export interface ServiceOptions {
	readonly log: string;
	readonly env?: Readonly<Record<string, string | undefined>>;
	/** Answers true once the program serves. */
	readonly isReady: () => Promise<boolean>;
	/** Default 30,000. */
	readonly readyMs?: number;
}

// A test that ends without its own clean-up must not leave a daemon that nobody knows.
const running = new Set<ChildProcess>();
process.once('exit', () => {
	running.forEach(child => child.kill('SIGKILL'));
});

/** A program that serves until it is ended: a daemon or a registry, with its output in a log file. */
export class Service implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #options: ServiceOptions;
	readonly #exited: Promise<void>;

	private constructor(child: ChildProcess, options: ServiceOptions) {
		this.#child = child;
		this.#options = options;
		this.#exited = once(child, 'exit').then(() => undefined, () => undefined);
		running.add(child);
		child.once('exit', () => running.delete(child));
	}

	/** Resolves when the program serves. Rejects, with the end of its log, when it ends or is late; then it is not running. */
	static async start(file: string, args: readonly string[], options: ServiceOptions): Promise<Service> {
		const log = await open(options.log, 'a');
		let service: Service;
		try {
			// A session of its own: the terminal's Ctrl-C belongs to the test, which then ends what it started.
			const child = spawn(file, args, {stdio: ['ignore', log.fd, log.fd], env: {...process.env, ...options.env}, detached: true});
			service = new Service(child, options);
		} finally {
			await log.close();
		}

		try {
			await until(`${file} to serve`, async () => !service.isRunning || options.isReady(), {timeoutMs: options.readyMs ?? 30_000, everyMs: 10});
			if (!service.isRunning) {
				throw new Error(`${file} ended with ${service.#child.exitCode ?? service.#child.signalCode}`);
			}

			return service;
		} catch (cause) {
			await service.stop(0);
			throw new Error(`${[file, ...args].join(' ')} does not serve; its log ends: ${tail(await service.log())}`, {cause});
		}
	}

	get pid(): number {
		return this.#child.pid ?? -1;
	}

	get isRunning(): boolean {
		return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
	}

	/** The exit status, or undefined while it runs or when a signal ended it. */
	get code(): number | undefined {
		return this.#child.exitCode ?? undefined;
	}

	async log(): Promise<string> {
		return readFile(this.#options.log, 'utf8');
	}

	/** Sends SIGTERM, after `graceMs` SIGKILL, and resolves once the program has ended: true when SIGTERM was enough. */
	async stop(graceMs = 30_000): Promise<boolean> {
		if (!this.isRunning) {
			return true;
		}

		this.#child.kill(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
		const isGraceful = await Promise.race([this.#exited.then(() => true), sleep(Math.max(graceMs, 1), false, {ref: false})]);
		if (!isGraceful) {
			this.#child.kill('SIGKILL');
			await this.#exited;
		}

		return isGraceful;
	}

	/** Ends the program as a power cut would, and resolves once it is gone. */
	async kill9(): Promise<void> {
		await this.stop(0);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}
}
