import {constants} from 'node:os';
import {addressOf, bindings, isLastErrno, lastError} from './libc.ts';

/**
 * Writes all bytes to a place of a file (pwrite(2)), which keeps its position. node:fs does the same, and what it does beside the call takes a third of it. Rejects as other calls
 * here do; then some may be written.
 */
export function writeAt(fd: number, bytes: Uint8Array, offset: number): void {
	const address = addressIn(bytes);
	for (let at = 0; at < bytes.length;) {
		const written = functions().pwrite(fd, address + at, bytes.length - at, offset + at);
		if (written !== -1) {
			at += written;
		} else if (!isLastErrno(constants.errno.EINTR)) {
			throw lastError(`write ${bytes.length - at} bytes at ${offset + at} to descriptor ${fd}`);
		}
	}
}

/** close(2). Rejects where what was written is lost; the descriptor is gone in any case. */
export function closeFile(fd: number): void {
	if (functions().close(fd) === -1 && !isLastErrno(constants.errno.EINTR)) {
		throw lastError(`close descriptor ${fd}`);
	}
}

/** Bytes come in pieces of the same memory, again and again: it is asked for once. */
let memory: ArrayBufferLike | undefined;
let address = 0;

function addressIn(bytes: Uint8Array): number {
	if (bytes.buffer !== memory) {
		memory = bytes.buffer;
		address = Number(addressOf(Buffer.from(memory)));
	}
	return address + bytes.byteOffset;
}

const functions = bindings(libc => ({
	pwrite: libc.func('long pwrite(int fd, uintptr_t bytes, size_t length, long offset)'),
	close: libc.func('int close(int fd)'),
}));
