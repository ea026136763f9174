import {readFileSync} from 'node:fs';
import {decodeWaitStatus, type ProcessEnd} from './process.ts';

export interface ProcessStat {
	/** In clock ticks since the system's start: with the pid it names a process for good. */
	readonly startTime: number;
	/** Of one that has ended and waits to be reaped (a zombie). Right for those who may trace it; others see exit code 0. */
	readonly end: ProcessEnd | undefined;
}

/** What /proc says of a process (proc_pid_stat(5)); undefined when there is none. */
export function processStat(pid: number): ProcessStat | undefined {
	let text: string;
	try {
		text = readFileSync(`/proc/${pid}/stat`, 'latin1');
	} catch {
		return undefined;
	}
	// The second field is the program's name in parentheses, which may have anything in it.
	const fields = text.slice(text.lastIndexOf(')') + 2).trim().split(' ');
	// The first of these is the third in the manual: state. 22: start time. 52: exit status.
	const [state = '', startTime = '', status = ''] = [fields[0], fields[22 - 3], fields[52 - 3]];
	const hasEnded = state === 'Z' || state === 'X';
	return {startTime: Number(startTime), end: hasEnded ? decodeWaitStatus(pid, Number(status)) : undefined};
}
