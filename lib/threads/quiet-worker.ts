/** Threads whose work waits for whoever calls the daemon. */

import {constants, getPriority, setPriority} from 'node:os';
import {Worker, type WorkerOptions} from 'node:worker_threads';

const LOW = constants.priority.PRIORITY_BELOW_NORMAL;

/**
 * Starts a thread that runs behind the one that calls, from its first instruction on: making its heap and reading its modules takes tens of milliseconds of the processor, which calls of clients need not wait for.
 * Where this process may not raise what it has lowered (setpriority(2), CAP_SYS_NICE), the thread starts as others do; it still calls `stayBehind` itself.
 */
export function startBehind(file: URL, options?: WorkerOptions): Worker {
	const own = getPriority();
	if (own >= LOW || !mayRaise(own)) {
		return new Worker(file, options);
	}
	// On Linux the priority is of the calling thread alone, and a new thread has that of the one that makes it.
	setPriority(LOW);
	try {
		return new Worker(file, options);
	} finally {
		setPriority(own);
	}
}

/** For the thread itself: what it does waits for whoever is in a hurry. On Linux that is this thread alone, and the programs that it starts. */
export function stayBehind(): void {
	setPriority(LOW);
}

let isAllowed: boolean | undefined;

function mayRaise(own: number): boolean {
	if (isAllowed === undefined) {
		// What is left behind where it may not is one step of forty.
		setPriority(own + 1);
		try {
			setPriority(own);
			isAllowed = true;
		} catch {
			isAllowed = false;
		}
	}
	return isAllowed;
}
