import {closeSync, constants, openSync, writeSync} from 'node:fs';
import path from 'node:path';

/** A line for the daemon's log, through the FIFO in a bundle that the daemon reads; a line that nobody takes is lost. */
export function logTo(bundle: string, level: 'debug' | 'warning' | 'error', message: string): void {
	const line = `time=${JSON.stringify(new Date().toISOString())} level=${level} msg=${JSON.stringify(message)}\n`;
	let fd: number | undefined;
	try {
		fd = openSync(path.join(bundle, 'log'), constants.O_WRONLY | constants.O_NONBLOCK);
		writeSync(fd, line);
	} catch {
		// No FIFO, nobody who reads it, or it is full.
	} finally {
		if (fd !== undefined) {
			closeSync(fd);
		}
	}
}
