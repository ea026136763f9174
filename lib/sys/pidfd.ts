import {bindings, errnoOf, lastError} from './libc.ts';
import {decodeWaitStatus, type ProcessEnd} from './process.ts';

/** A descriptor of a process that stays its own when the pid is used again. The caller closes it. Rejects with NOT_FOUND. */
export function openProcess(pid: number): number {
	const fd = functions().open(SYS_pidfd_open, pid, 0);
	if (fd === -1) {
		throw lastError(`open process ${pid}`);
	}
	return fd;
}

/** @param signal a number; 0 only asks whether it is there. Rejects with NOT_FOUND when it ended and was reaped. */
export function signalProcess(pidfd: number, signal: number): void {
	if (functions().signal(SYS_pidfd_send_signal, pidfd, signal, null, 0) === -1) {
		throw lastError(`send signal ${signal} to the process of descriptor ${pidfd}`);
	}
}

/**
 * How a process ended that is not our child: known once its parent has reaped it, undefined before.
 * Rejects with UNIMPLEMENTED before Linux 6.15.
 */
export function endOfProcess(pidfd: number): ProcessEnd | undefined {
	const info = Buffer.alloc(64);
	info.writeBigUInt64LE(PIDFD_INFO_PID | PIDFD_INFO_EXIT, 0);
	if (functions().ioctl(pidfd, PIDFD_GET_INFO, info) === -1) {
		const error = lastError(`ask for the end of the process of descriptor ${pidfd}`);
		// Kernels that have the call but not this answer say that the process is gone.
		if (errnoOf(error) === 'ESRCH') {
			return undefined;
		}
		throw error;
	}
	if ((info.readBigUInt64LE(0) & PIDFD_INFO_EXIT) === 0n) {
		return undefined;
	}
	return decodeWaitStatus(info.readUInt32LE(16), info.readInt32LE(60));
}

// From asm-generic/unistd.h and linux/pidfd.h.
const SYS_pidfd_send_signal = 424;
const SYS_pidfd_open = 434;
const PIDFD_GET_INFO = 0xc040ff0b;
const PIDFD_INFO_PID = 1n;
const PIDFD_INFO_EXIT = 8n;

const functions = bindings(libc => ({
	open: libc.func('syscall', 'long', ['long', 'int', 'uint']),
	signal: libc.func('syscall', 'long', ['long', 'int', 'int', 'void *', 'uint']),
	ioctl: libc.func('ioctl', 'int', ['int', 'ulong', 'void *']),
}));
