import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {open, readFile, rm, writeFile} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {identity} from './start-identity.ts';

const READY_MS = 30_000;
const STOP_MS = 20_000;

/** A program that serves beside the start: its output in a log, its process id in a file, so that the next start can end it if this one could not. */
export class StartService implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #pidFile: string;

	private constructor(child: ChildProcess, pidFile: string) {
		this.#child = child;
		this.#pidFile = pidFile;
	}

	/** Resolves when `isReady` says so. Rejects with the end of its log when it ends or is late; then it does not run. */
	static async start(file: string, args: readonly string[], {log, pidFile, isReady, signal}: {
		readonly log: string;
		readonly pidFile: string;
		readonly isReady: () => Promise<boolean>;
		readonly signal: AbortSignal;
	}): Promise<StartService> {
		await endStale(pidFile);
		await using output = await open(log, 'w');
		// A session of its own: Ctrl-C is for the start, which then stops what it started in order.
		const child = spawn(file, args, {stdio: ['ignore', output.fd, output.fd], detached: true});
		await once(child, 'spawn');
		const service = new StartService(child, pidFile);
		try {
			await writeFile(pidFile, await identity(child.pid ?? 0) ?? '');
			const end = performance.now() + READY_MS;
			while (!await isReady()) {
				signal.throwIfAborted();
				if (!service.isRunning || performance.now() > end) {
					const text = await readFile(log, 'utf8');
					throw new Error(`${file} does not serve; its log (${log}) ends:\n${text.trim().split('\n').slice(-5).join('\n')}`);
				}
				await sleep(25);
			}
			return service;
		} catch (error) {
			await service[Symbol.asyncDispose]();
			throw error;
		}
	}

	get isRunning(): boolean {
		return this.#child.exitCode === null && this.#child.signalCode === null;
	}

	/** Resolves when it has ended by itself, or at the signal. */
	async ended(signal: AbortSignal): Promise<void> {
		if (this.isRunning && !signal.aborted) {
			await once(this.#child, 'exit', {signal}).catch(() => undefined);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.isRunning) {
			const exited = once(this.#child, 'exit');
			this.#child.kill('SIGTERM');
			const isLate = await Promise.race([exited.then(() => false), sleep(STOP_MS, true, {ref: false})]);
			if (isLate) {
				this.#child.kill('SIGKILL');
				await exited;
			}
		}
		await rm(this.#pidFile, {force: true});
	}
}

/** Ends what an aborted start has left running, by the file that it wrote; a process that merely has the same number is left alone. */
async function endStale(pidFile: string): Promise<void> {
	const recorded = await readFile(pidFile, 'utf8').catch(() => '');
	const pid = Number(recorded.split(' ')[0]);
	const isIt = async (): Promise<boolean> => recorded !== '' && await identity(pid) === recorded;
	for (const [signal, waits] of [['SIGTERM', STOP_MS], ['SIGKILL', 2000]] as const) {
		if (await isIt()) {
			process.kill(pid, signal);
		}
		const end = performance.now() + waits;
		while (performance.now() < end && await isIt()) {
			await sleep(25);
		}
	}
	await rm(pidFile, {force: true});
}
