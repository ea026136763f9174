import {bindings, lastError} from './libc.ts';

/**
 * A new pipe, closed on exec; both ends are the caller's to close.
 *
 * @param bytes its room, as far as the system grants it to us; 0 leaves the default of 64 KiB
 * @returns the end to read, and the end to write
 */
export function makePipe(bytes = 0): readonly [number, number] {
	const pair = Buffer.alloc(8);
	if (functions().pipe2(pair, O_CLOEXEC) === -1) {
		throw lastError('make a pipe');
	}
	const ends = [pair.readInt32LE(0), pair.readInt32LE(4)] as const;
	if (bytes > 0) {
		// Where the user's share of pipe memory is used up it stays as it is.
		functions().fcntl(ends[1], F_SETPIPE_SZ, bytes);
	}
	return ends;
}

const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;

const functions = bindings(libc => ({
	pipe2: libc.func('int pipe2(void *pair, int flags)'),
	fcntl: libc.func('fcntl', 'int', ['int', 'int', 'long']),
}));
