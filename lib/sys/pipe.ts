import {bindings, lastError} from './libc.ts';

/** Both ends are closed on exec, and the owner's to close. */
export interface Pipe {
	readonly reader: number;
	readonly writer: number;
}

/** pipe2(2). @param bytes its room, as far as the system grants it to us; 0 leaves the default of 64 KiB */
export function createPipe(bytes = 0): Pipe {
	const pair = Buffer.alloc(8);
	if (functions().pipe2(pair, O_CLOEXEC) === -1) {
		throw lastError('create a pipe');
	}
	const [reader, writer] = [pair.readInt32LE(0), pair.readInt32LE(4)];
	if (bytes > 0) {
		setPipeSize(writer, bytes);
	}
	return {reader, writer};
}

/** Makes room in a pipe or FIFO. Where the user's share of pipe memory is used up, or more is in it than would fit, it stays as it is. */
export function setPipeSize(fd: number, bytes: number): void {
	functions().fcntl(fd, F_SETPIPE_SZ, 'long', bytes);
}

/** Bytes that wait in a pipe or FIFO to be read, whichever end the descriptor is; 0 for what is neither. */
export function bytesWaiting(fd: number): number {
	const count = Buffer.alloc(4);
	return functions().ioctl(fd, FIONREAD, count) === -1 ? 0 : count.readInt32LE(0);
}

const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const FIONREAD = 0x541b;

const functions = bindings(libc => ({
	pipe2: libc.func('int pipe2(void *pair, int flags)'),
	ioctl: libc.func('int ioctl(int fd, ulong request, void *argument)'),
	fcntl: libc.func('int fcntl(int fd, int command, ...)'),
}));
