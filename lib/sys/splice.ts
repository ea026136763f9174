import {bindings, errnoOf, lastError} from './libc.ts';

/**
 * Moves bytes of a file into a pipe without copying them, as many as it has room for now: 0 when it has none. Rejects with the
 * system's error, EPIPE where nobody reads any more.
 */
export function spliceToPipe(file: number, offset: number, pipe: number, length: number): number {
	const from = new BigInt64Array([BigInt(offset)]);
	const moved: number = functions().splice(file, from, pipe, null, length, SPLICE_F_NONBLOCK);
	if (moved !== -1) {
		return moved;
	}
	const error = lastError(`splice into descriptor ${pipe}`);
	if (errnoOf(error) === 'EAGAIN' || errnoOf(error) === 'EINTR') {
		return 0;
	}
	throw error;
}

/** What can be done with two descriptors without waiting. */
export interface Readiness {
	/** There are bytes to read, or the end. */
	readonly canRead: boolean;
	/** There is room, or nobody reads any more. */
	readonly canWrite: boolean;
}

/** Waits, and its thread with it, until one can be read or the other be written, at most so long. @param writer undefined: is not asked */
export function pollTwo(reader: number, writer: number | undefined, timeoutMs: number): Readiness {
	const fds = Buffer.alloc(16);
	fds.writeInt32LE(reader, 0);
	fds.writeInt16LE(POLLIN, 4);
	fds.writeInt32LE(writer ?? -1, 8);
	fds.writeInt16LE(POLLOUT, 12);
	if (functions().poll(fds, 2, timeoutMs) === -1) {
		const error = lastError('poll');
		if (errnoOf(error) !== 'EINTR') {
			throw error;
		}
		return {canRead: false, canWrite: false};
	}
	// Errors and hang-ups count: the call that follows names them.
	return {canRead: fds.readInt16LE(6) !== 0, canWrite: fds.readInt16LE(14) !== 0};
}

const SPLICE_F_NONBLOCK = 2;
const POLLIN = 1;
const POLLOUT = 4;

const functions = bindings(libc => ({
	splice: libc.func('long splice(int from, void *fromOffset, int to, void *toOffset, size_t length, uint flags)'),
	poll: libc.func('int poll(void *fds, ulong count, int timeout)'),
}));
