import {openProcess} from '../../../lib/sys/pidfd.ts';
import {processStat} from '../../../lib/sys/process-stat.ts';
import {isTold, recordProcess, recordTold, type Told} from '../protocol/process-record.ts';
import type {DepotLink, Keepable} from './depot-link.ts';
import type {Receipt} from './event-publisher.ts';
import type {TaskProcess} from './task-process.ts';

/** How old a process is when the spare gets a copy of its end of the client's FIFO, without which a dead shim's container may end by SIGPIPE. */
const outputHeldMs = 250;

/** Writes down what a shim that takes over must know. @param checkpoint that is still to be restored as this process */
export function recordTrace(bundle: string, process: TaskProcess, checkpoint?: string): void {
	const {execId, pid, stdio, isStdinClosed} = process;
	process.startTime ||= pid === 0 ? 0 : processStat(pid)?.startTime ?? 0;
	recordProcess(bundle, execId, {pid, stdio, isStdinClosed, startTime: process.startTime, ...(checkpoint === undefined ? {} : {checkpoint})});
}

/** Hands copies of what a process needs to outlive its shim to the spare. */
export function handOver(depot: DepotLink, key: string, bundle: string, process: TaskProcess): void {
	const keepable = {bundle, open: () => [...pidfdOf(process), ...descriptorsOf(process).map(one => ({...one, isOurs: false}))]};
	if (process.execId === '') {
		depot.keep(key, keepable);
	} else {
		// Most execs are short, and many.
		depot.keepSoon(key, keepable);
	}
	if (process.io?.descriptors().some(({kind}) => kind === 'output') === true) {
		setTimeout(() => {
			process.isOutputHeld = true;
			depot.again(key);
		}, outputHeldMs).unref();
	}
}

/** What the bundle says of whether the daemon knows. */
export function receiptOf(bundle: string, execId: string, what: Told): Receipt {
	return {isTold: () => isTold(bundle, execId, what), told: () => recordTold(bundle, execId, what)};
}

// A client that reads to the end would wait for the spare too, and most processes that end soon have their client beside them.
function descriptorsOf({io, isOutputHeld, isStranger}: TaskProcess): ReturnType<NonNullable<TaskProcess['io']>['descriptors']> {
	return io?.descriptors().filter(({kind}) => kind !== 'output' || isOutputHeld || isStranger) ?? [];
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
