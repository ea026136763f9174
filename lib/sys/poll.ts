import {bindings, errnoOf, lastError} from './libc.ts';

/**
 * poll(2) on this thread: whether `fd` can be read, or has hung up, within `milliseconds`; a signal ends the wait too. Blocks everything else here, so
 * ask for very little.
 */
export function isReadableWithin(fd: number, milliseconds: number): boolean {
	const entry = Buffer.alloc(8);
	entry.writeInt32LE(fd, 0);
	entry.writeInt16LE(POLLIN, 4);
	const ready = functions().poll(entry, 1, milliseconds);
	const error = ready === -1 ? lastError(`poll descriptor ${fd}`) : undefined;
	if (error !== undefined && errnoOf(error) !== 'EINTR') {
		throw error;
	}
	return ready > 0;
}

const POLLIN = 1;

const functions = bindings(libc => ({
	poll: libc.func('int poll(void *entries, ulong count, int milliseconds)'),
}));
