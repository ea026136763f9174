import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {readdir, readFile, readlink} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {Daemon} from '../test/helpers/daemon.ts';
import type {CallerNews} from './caller.ts';
import {percentile} from './measure.ts';

// A look at every process takes the processor from what is measured.
const WEIGHED_EVERY_MS = 1000;

/** What a daemon takes, and how it answers, while something else is going on. */
export interface Load {
	/** The most that was resident, megabytes: the daemon with all its threads, and the programs that it started (shims, which are ours as well, apart). */
	readonly peakMegabytes: number;
	/** Of a unary call every ten milliseconds. */
	readonly p99Ms: number;
	/** The longest of them. */
	readonly longestMs: number;
}

export async function loadDuring(daemon: Daemon, work: () => Promise<unknown>): Promise<Load> {
	await using caller = await Caller.start(daemon);
	let programsKilobytes = 0;
	const over = new AbortController();
	const weigh = (async () => {
		while (!over.signal.aborted) {
			programsKilobytes = Math.max(programsKilobytes, await residentOfPrograms(daemon.pid));
			await sleep(WEIGHED_EVERY_MS);
		}
	})();
	try {
		await work();
	} finally {
		over.abort();
		await weigh;
	}
	const latencies = await caller.latencies();
	return {peakMegabytes: (await residentAtMost(daemon.pid) + programsKilobytes) / 1024, p99Ms: percentile(latencies, 0.99), longestMs: Math.max(...latencies)};
}

/**
 * The process that calls. Of real-time priority (sched(7)) and with a heap that needs no collecting meanwhile: on a machine whose cores are all busy a client waits for the processor as long
 * as for the daemon, and it is the daemon that is measured.
 */
class Caller implements AsyncDisposable {
	readonly #child: ChildProcess;

	private constructor(child: ChildProcess) {
		this.#child = child;
	}

	static async start({places}: Daemon): Promise<Caller> {
		const node = [process.execPath, '--disable-warning=ExperimentalWarning', '--min-semi-space-size=64', '--max-semi-space-size=64', fileURLToPath(new URL('./caller.ts', import.meta.url))];
		const caller = new Caller(spawn('chrt', ['--fifo', '1', ...node, places.address, 'bench-caller'], {stdio: ['ignore', 'inherit', 'inherit', 'ipc']}));
		const news = await caller.#news();
		if (news !== 'ready') {
			throw new Error('the caller said how long its calls took before it was asked');
		}
		return caller;
	}

	async latencies(): Promise<readonly number[]> {
		const answer = this.#news();
		this.#child.send('enough');
		const news = await answer;
		if (news === 'ready') {
			throw new Error('the caller was ready twice');
		}
		return news;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			const exit = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await exit;
		}
	}

	async #news(): Promise<CallerNews> {
		const over = new AbortController();
		const exit = once(this.#child, 'exit', {signal: over.signal}).then(([code]) => {
			throw new Error(`the caller ended with ${code}`);
		});
		const message = once(this.#child, 'message', {signal: over.signal});
		try {
			const [news] = await Promise.race([message, exit]) as [CallerNews];
			return news;
		} finally {
			over.abort();
			await Promise.allSettled([message, exit]);
		}
	}
}

/** Kilobytes. A child that is still what the daemon is has not begun yet, or is a shim. */
async function residentOfPrograms(pid: number): Promise<number> {
	const own = await readlink(`/proc/${pid}/exe`);
	let sum = 0;
	for (const other of await readdir('/proc')) {
		const isChild = /^\d+$/.test(other) && (await readFile(`/proc/${other}/status`, 'utf8').catch(() => '')).includes(`\nPPid:\t${pid}\n`);
		if (isChild && await readlink(`/proc/${other}/exe`).catch(() => own) !== own) {
			sum += await resident(other);
		}
	}
	return sum;
}

async function resident(pid: string): Promise<number> {
	return kilobytesOf(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''), 'VmRSS') ?? 0;
}

/** Kilobytes, of all its life: as the kernel counts (proc(5), VmHWM). */
async function residentAtMost(pid: number): Promise<number> {
	const kilobytes = kilobytesOf(await readFile(`/proc/${pid}/status`, 'utf8'), 'VmHWM');
	if (kilobytes === undefined) {
		throw new Error(`process ${pid} says nothing of its memory`);
	}
	return kilobytes;
}

function kilobytesOf(status: string, field: 'VmRSS' | 'VmHWM'): number | undefined {
	const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status) ?? [];
	return kilobytes === undefined ? undefined : Number(kilobytes);
}
