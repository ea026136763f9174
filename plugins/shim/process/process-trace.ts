import {openProcess} from '../../../lib/sys/pidfd.ts';
import {processStat} from '../../../lib/sys/process-stat.ts';
import {isTold, recordProcess, recordTold, type Told} from '../protocol/process-record.ts';
import type {Keepable} from './depot-link.ts';
import type {Receipt} from './event-publisher.ts';
import type {TaskProcess} from './task-process.ts';

/** Writes down what a shim that takes over must know. */
export function recordTrace(bundle: string, process: TaskProcess): void {
	const {execId, pid, stdio, isStdinClosed} = process;
	process.startTime ||= pid === 0 ? 0 : processStat(pid)?.startTime ?? 0;
	recordProcess(bundle, execId, {pid, stdio, isStdinClosed, startTime: process.startTime});
}

/** Copies of what a process needs to outlive its shim. */
export function keepableOf(bundle: string, process: TaskProcess): Keepable {
	return {bundle, open: () => [...pidfdOf(process), ...process.io?.descriptors().map(one => ({...one, isOurs: false})) ?? []]};
}

/** What the bundle says of whether the daemon knows. */
export function receiptOf(bundle: string, execId: string, what: Told): Receipt {
	return {isTold: () => isTold(bundle, execId, what), told: () => recordTold(bundle, execId, what)};
}

function pidfdOf({pid, pidfd, isStranger}: TaskProcess): ReturnType<Keepable['open']> {
	if (isStranger) {
		return pidfd === undefined ? [] : [{kind: 'pidfd', fd: pidfd, isOurs: false}];
	}
	try {
		return [{kind: 'pidfd', fd: openProcess(pid), isOurs: true}];
	} catch {
		// It has ended and was reaped just now; its end is being told.
		return [];
	}
}
