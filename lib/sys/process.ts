import {constants} from 'node:os';
import {bindings, cString, errnoOf, inPool, lastError, systemError} from './libc.ts';

/** How a process ended: one of the two is set. */
export interface ProcessEnd {
	readonly pid: number;
	readonly exitCode: number | undefined;
	/** Such as `SIGKILL`; `SIG34` and so on for those that have no name. */
	readonly signal: string | undefined;
}

/** What a shell, and containerd, reports: the exit code, or 128 and the signal's number. */
export function toExitStatus({exitCode, signal}: ProcessEnd): number {
	return exitCode ?? 128 + signalNumber(signal ?? 'SIGKILL');
}

/** From now on orphans of our descendants become our children, to be reaped. Holds for the process, until it execs or ends. */
export function becomeSubreaper(): void {
	if (functions().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) === -1) {
		throw lastError('become subreaper');
	}
}

/** Names the calling thread, and with the main thread the process, as in ps(1). Cut to 15 bytes by the kernel. */
export function nameThread(name: string): void {
	if (functions().prctlName(PR_SET_NAME, cString(name), 0, 0, 0) === -1) {
		throw lastError(`name thread ${name}`);
	}
}

/**
 * A child that ended and was not reaped yet, left as it is; undefined when there is none. The same one is returned until somebody
 * reaps it. With libuv in the process this, and not waitpid(-1), is the way to find orphans: children of node:child_process are
 * libuv's to reap.
 */
export function peekEndedChild(): ProcessEnd | undefined {
	const info = Buffer.alloc(128);
	if (functions().waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT) === 0) {
		return readEnd(info);
	}
	const error = lastError('look for ended children');
	if (errnoOf(error) === 'ECHILD') {
		return undefined;
	}
	throw error;
}

/** Reaps one child that has ended; undefined while it runs. Rejects with NOT_FOUND when it is no child, or was reaped before. */
export function reap(pid: number): ProcessEnd | undefined {
	const info = Buffer.alloc(128);
	if (functions().waitid(P_PID, pid, info, WEXITED | WNOHANG) === -1) {
		throw lastError(`reap process ${pid}`);
	}
	return readEnd(info);
}

/**
 * Waits on a thread of the pool for a child's end and reaps it: for helpers that end by themselves within moments.
 * Rejects with NOT_FOUND when it is no child, or somebody else reaped it.
 */
export async function waitForChild(pid: number): Promise<ProcessEnd> {
	for (;;) {
		const info = Buffer.alloc(128);
		const {result, errno} = await inPool(functions().waitid, [P_PID, pid, info, WEXITED]);
		const end = result === -1 ? undefined : readEnd(info);
		if (end !== undefined) {
			return end;
		}
		if (errno !== constants.errno.EINTR) {
			throw systemError(errno, `wait for process ${pid}`);
		}
	}
}

/** The same where its end is all that counts: somebody who reaps orphans may be faster. */
export async function waitUntilGone(pid: number): Promise<void> {
	try {
		await waitForChild(pid);
	} catch (error) {
		if (errnoOf(error) !== 'ECHILD') {
			throw error;
		}
	}
}

/** Reads the status that wait(2) and PIDFD_GET_INFO give. */
export function decodeWaitStatus(pid: number, status: number): ProcessEnd {
	const signal = status & 0x7f;
	return signal === 0 ? {pid, exitCode: (status >> 8) & 0xff, signal: undefined} : {pid, exitCode: undefined, signal: signalName(signal)};
}

// siginfo_t of a child on 64-bit Linux: si_code at 8, si_pid at 16, si_status at 24.
function readEnd(info: Buffer): ProcessEnd | undefined {
	const pid = info.readInt32LE(16);
	if (pid === 0) {
		return undefined;
	}
	const status = info.readInt32LE(24);
	return info.readInt32LE(8) === CLD_EXITED ? {pid, exitCode: status, signal: undefined} : {pid, exitCode: undefined, signal: signalName(status)};
}

function signalName(number: number): string {
	const found = Object.entries(constants.signals).find(([name, value]) => value === number && name !== 'SIGIOT' && name !== 'SIGPOLL');
	return found?.[0] ?? `SIG${number}`;
}

function signalNumber(name: string): number {
	return Object.entries(constants.signals).find(([known]) => known === name)?.[1] ?? Number(name.slice('SIG'.length));
}

const PR_SET_NAME = 15;
const PR_SET_CHILD_SUBREAPER = 36;
const P_ALL = 0;
const P_PID = 1;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x1000000;
const CLD_EXITED = 1;

const functions = bindings(libc => ({
	prctl: libc.func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']),
	prctlName: libc.func('prctl', 'int', ['int', 'const char *', 'ulong', 'ulong', 'ulong']),
	waitid: libc.func('int waitid(int kind, uint id, void *info, int options)'),
}));
