import {closeSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {isKeelsonError} from '../../../kernel/errors.ts';
import type {DescriptorWatcher} from '../../../lib/sys/descriptor-watcher.ts';
import {endOfProcess, openProcess} from '../../../lib/sys/pidfd.ts';
import {processStat} from '../../../lib/sys/process-stat.ts';
import {toExitStatus, type ProcessEnd} from '../../../lib/sys/process.ts';
import type {ChildExit} from './reaper.ts';

/** Where nobody was there to see it. */
const unknownExit = 255;
/** For the process's new parent to reap it; some init programs look only every few seconds. */
const reapMs = 30_000;
const askMs = 25;

/** A process that another shim started, which is gone. */
export interface Stranger {
	readonly pid: number;
	/** 0: not known. */
	readonly startTime: number;
}

/** A descriptor of a process that still is the one that was meant, the caller's to close; undefined when it is gone. */
export function openStranger({pid, startTime}: Stranger): number | undefined {
	try {
		const pidfd = openProcess(pid);
		// Looked at after the descriptor is open, which keeps the pid from being anybody else's.
		if (startTime === 0 || processStat(pid)?.startTime === startTime) {
			return pidfd;
		}
		closeSync(pidfd);
	} catch (error) {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw error;
		}
	}
	return undefined;
}

/**
 * How a process ends that is nobody's child here, and when that was seen; with 255, and `log` told why, where nobody can know: the kernel says it
 * of a process that was reaped since Linux 6.15.
 */
export async function strangeExit(pidfd: number, stranger: Stranger, {watcher, log}: {readonly watcher: DescriptorWatcher; readonly log: (message: string) => void}): Promise<ChildExit> {
	await watcher.readable(pidfd);
	const exitedAt = new Date();
	for (const late = performance.now() + reapMs; performance.now() < late; await sleep(askMs)) {
		const end = whileZombie(stranger) ?? afterwards(pidfd);
		if (end === 'unknown') {
			break;
		}
		if (end !== undefined) {
			return {exitStatus: toExitStatus(end), exitedAt};
		}
	}
	log(`process ${stranger.pid} has ended, and how is unknown: its shim was killed, and this kernel does not say it of a process that somebody else has reaped`);
	return {exitStatus: unknownExit, exitedAt};
}

function whileZombie({pid, startTime}: Stranger): ProcessEnd | undefined {
	const stat = processStat(pid);
	return stat !== undefined && (startTime === 0 || stat.startTime === startTime) ? stat.end : undefined;
}

function afterwards(pidfd: number): ProcessEnd | 'unknown' | undefined {
	try {
		return endOfProcess(pidfd);
	} catch {
		return 'unknown';
	}
}
