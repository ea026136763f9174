import {bindings, lastError} from './libc.ts';

/** eventfd(2), closed on exec, never blocking: readable from each event until its 8 bytes are read. The caller's to close. */
export function createEventDescriptor(): number {
	const fd: number = functions().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd === -1) {
		throw lastError('create an eventfd');
	}
	return fd;
}

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const functions = bindings(libc => ({
	eventfd: libc.func('int eventfd(uint initial, int flags)'),
}));
