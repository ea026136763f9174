import {spawnProcess} from '../../lib/sys/spawn.ts';
import {waitForChild, type ProcessEnd} from '../../lib/sys/process.ts';

export interface ProgramOptions {
	/** Which descriptor of ours is which number there; 0, 1 and 2 are /dev/null where missing. */
	readonly fds: Readonly<Record<number, number>>;
	readonly cwd?: string;
	/** The whole environment. Default: that of this process. */
	readonly env?: Readonly<Record<string, string | undefined>>;
	/** Kills the program. */
	readonly signal?: AbortSignal | undefined;
}

/** Runs a program to its end; what it leaves running is not waited for. A shim, which reaps all children of its process, brings its own. */
export type RunProgram = (path: string, args: readonly string[], options: ProgramOptions) => Promise<ProcessEnd>;

/** For processes in which nobody else reaps children that libuv does not know. */
export const runProgram: RunProgram = async (path, args, {fds, cwd, env, signal}) => {
	signal?.throwIfAborted();
	const pid = spawnProcess(path, args, {fds, ...(cwd === undefined ? {} : {cwd}), ...(env === undefined ? {} : {env})});
	const kill = (): void => {
		try {
			process.kill(pid, 'SIGKILL');
		} catch {
			// It has ended by itself just now.
		}
	};
	signal?.addEventListener('abort', kill, {once: true});
	try {
		return await waitForChild(pid);
	} finally {
		signal?.removeEventListener('abort', kill);
	}
};
