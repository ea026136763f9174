import {closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {errnoOf} from '../../lib/sys/libc.ts';
import {isReadableWithin} from '../../lib/sys/poll.ts';
import {processStat} from '../../lib/sys/process-stat.ts';

/** Init writes within a tenth of a millisecond, unless the machine is busy. */
const atOnceMs = 2;
const lookMinMs = 2;
/** As often as runc looks: init may be frozen, or on a machine that has no time for it. */
const lookMaxMs = 100;
/** What runc keeps of a container. */
const stateBytesMax = 4 * 1024 * 1024;

/**
 * Starts a created container as `runc start` does, without the program: opens for reading the FIFO at which runc's init waits to be let go, takes the
 * byte that init writes, and removes the FIFO, which is what makes a container `running` in runc's eyes. A program less to load is a tenth of the
 * time that a short container takes.
 *
 * Resolves to false, and has changed nothing, where the runtime itself must be asked: it is not runc (crun's FIFO works the other way round), its state is not
 * what we know of runc 1.0 and later, or init has ended, which runc has its own words for.
 *
 * @param directory what runc keeps of the container: `<root>/<id>`
 */
export async function startByFifo(directory: string, signal?: AbortSignal): Promise<boolean> {
	// A manager that waits for the container's own readiness is served by runc alone.
	if (process.env['NOTIFY_SOCKET'] !== undefined) {
		return false;
	}
	const pid = initPid(directory);
	const fifo = path.join(directory, 'exec.fifo');
	const fd = pid === undefined ? undefined : openFifo(fifo);
	if (pid === undefined || fd === undefined) {
		return false;
	}
	try {
		if (!await isLetGo(fd, pid, signal)) {
			return false;
		}
		rmSync(fifo, {force: true});
		return true;
	} finally {
		closeSync(fd);
	}
}

async function isLetGo(fd: number, pid: number, signal: AbortSignal | undefined): Promise<boolean> {
	isReadableWithin(fd, atOnceMs);
	for (let lookMs = lookMinMs; ; lookMs = Math.min(lookMs * 2, lookMaxMs)) {
		// In this order: what it wrote before it ended counts.
		const hasEnded = isOver(pid);
		if (hasByte(fd)) {
			return true;
		}
		if (hasEnded) {
			return false;
		}
		// Whoever let it go before died before the FIFO was removed.
		if (!isWaiting(fd, pid)) {
			return true;
		}
		await sleep(lookMs, undefined, signal === undefined ? {} : {signal});
	}
}

function hasByte(fd: number): boolean {
	try {
		return readSync(fd, Buffer.alloc(16)) > 0;
	} catch (error) {
		if (errnoOf(error) !== 'EAGAIN') {
			throw error;
		}
		return false;
	}
}

// runc's init has the FIFO open, by path only, from its birth to its exec of the container's program.
function isWaiting(fd: number, pid: number): boolean {
	const {dev, ino} = fstatSync(fd);
	try {
		return readdirSync(`/proc/${pid}/fd`).some(name => {
			const other = statSync(`/proc/${pid}/fd/${name}`, {throwIfNoEntry: false});
			return other?.dev === dev && other.ino === ino;
		});
	} catch {
		// It has ended just now, which the next look tells.
		return true;
	}
}

function isOver(pid: number): boolean {
	const stat = processStat(pid);
	return stat === undefined || stat.end !== undefined;
}

function initPid(directory: string): number | undefined {
	try {
		const text = readFileSync(path.join(directory, 'state.json'));
		const state = text.length > stateBytesMax ? undefined : JSON.parse(text.toString()) as {readonly init_process_pid?: unknown};
		const pid = state?.init_process_pid;
		return typeof pid === 'number' && pid > 0 ? pid : undefined;
	} catch {
		return undefined;
	}
}

function openFifo(file: string): number | undefined {
	let fd: number;
	try {
		fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
	} catch {
		return undefined;
	}
	if (fstatSync(fd).isFIFO()) {
		return fd;
	}
	closeSync(fd);
	return undefined;
}
