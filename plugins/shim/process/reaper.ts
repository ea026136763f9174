import {becomeSubreaper, peekEndedChild, reap, toExitStatus, type ProcessEnd} from '../../../lib/sys/process.ts';
import {spawnProcess, type SpawnOptions} from '../../../lib/sys/spawn.ts';

/** A child's end, and when we learned of it. */
export interface ChildExit {
	/** The exit code, or 128 and the signal's number. */
	readonly exitStatus: number;
	readonly exitedAt: Date;
}

export interface RunOptions extends SpawnOptions {
	readonly signal?: AbortSignal | undefined;
}

export interface RunningProgram {
	readonly ended: Promise<ProcessEnd>;
	term(): void;
}

interface Kept extends ChildExit {
	/** On the clock of `performance.now`. */
	readonly atMs: number;
	readonly end: ProcessEnd;
}

/** More than a runtime's helpers can leave between two looks. */
const keptMax = 4096;
const aliveMs = 60_000;

/**
 * The one who reaps: programs that this process spawns, and orphans of containers, which become its children (subreaper). Nothing in
 * the process may use node:child_process. A container's pid is known only after the runtime has written it, when the process may have
 * ended already; so while anybody expects a pid, ends that nobody has claimed are kept.
 */
export class Reaper implements Disposable {
	readonly #claims = new Map<number, (kept: Kept) => void>();
	readonly #unclaimed = new Map<number, Kept>();
	/** Called in the turn in which the pid is reaped: from then on it may be somebody else's. */
	readonly #programs = new Map<number, () => void>();
	#expecting = 0;
	readonly #onChild = (): void => this.#reapAll();

	constructor() {
		becomeSubreaper();
		process.on('SIGCHLD', this.#onChild);
	}

	/** Spawns a program, which must end by itself or by the signal, which kills it; resolves with its end. */
	async run(path: string, args: readonly string[], options: RunOptions): Promise<ProcessEnd> {
		return this.start(path, args, options).ended;
	}

	/** Spawns a program that lives on. `spawned` is called in any case, for descriptors of which it has copies now. */
	start(path: string, args: readonly string[], {signal, ...options}: RunOptions, spawned?: () => void): RunningProgram {
		signal?.throwIfAborted();
		let pid: number;
		try {
			pid = spawnProcess(path, args, options);
		} finally {
			spawned?.();
		}
		let isRunning = true;
		const send = (name: NodeJS.Signals): void => {
			// A child that was not reaped keeps its pid.
			if (isRunning) {
				process.kill(pid, name);
			}
		};
		const kill = (): void => send('SIGKILL');
		signal?.addEventListener('abort', kill, {once: true});
		const ended = this.#claim(pid).then(({end}) => end);
		// A signal handler keeps no process alive.
		const alive = setInterval(() => undefined, aliveMs);
		this.#programs.set(pid, () => {
			isRunning = false;
			clearInterval(alive);
			signal?.removeEventListener('abort', kill);
		});
		return {ended, term: () => send('SIGTERM')};
	}

	/** Keeps ends that nobody claims for as long as the result lives; `claim` then finds those that came since. */
	expect(): Expectation {
		this.#expecting++;
		const sinceMs = performance.now();
		let isOver = false;
		return {
			claim: async pid => {
				const kept = this.#unclaimed.get(pid);
				// An older one is of another process that had the same number.
				if (kept !== undefined && kept.atMs >= sinceMs) {
					this.#unclaimed.delete(pid);
					return kept;
				}
				return this.#claim(pid);
			},
			[Symbol.dispose]: () => {
				this.#expecting -= isOver ? 0 : 1;
				isOver = true;
				if (this.#expecting === 0) {
					this.#unclaimed.clear();
				}
			},
		};
	}

	[Symbol.dispose](): void {
		process.off('SIGCHLD', this.#onChild);
	}

	#claim(pid: number): Promise<Kept> {
		const {promise, resolve} = Promise.withResolvers<Kept>();
		this.#claims.set(pid, resolve);
		return promise;
	}

	#reapAll(): void {
		for (let ended = peekEndedChild(); ended !== undefined; ended = peekEndedChild()) {
			const end = reap(ended.pid) ?? ended;
			const kept = {end, exitStatus: toExitStatus(end), exitedAt: new Date(), atMs: performance.now()};
			const claim = this.#claims.get(end.pid);
			this.#claims.delete(end.pid);
			this.#programs.get(end.pid)?.();
			this.#programs.delete(end.pid);
			if (claim !== undefined) {
				claim(kept);
			} else if (this.#expecting > 0 && this.#unclaimed.size < keptMax) {
				this.#unclaimed.set(end.pid, kept);
			}
		}
	}
}

export interface Expectation extends Disposable {
	/** Resolves when the process ends, at once when it has ended since the expectation began. Call it within the same turn in which the pid became known. */
	claim(pid: number): Promise<ChildExit>;
}
