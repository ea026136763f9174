import {closeSync} from 'node:fs';
import {bindings, errnoOf, lastError} from './libc.ts';
import {AF_UNIX, unixAddress} from './unix-address.ts';

/**
 * Listens at a unix socket of packets (SOCK_SEQPACKET: messages with borders, over connections that say when they end), with mode 0600.
 * The descriptor is the caller's to close and the file the caller's to remove. Throws when a file is there.
 */
export function listenForPackets(path: string): number {
	const address = unixAddress(path);
	const {bind, listen, fchmod} = functions();
	const fd = packetSocket(path);
	// The mode before the name: nobody else can connect in between.
	if (fchmod(fd, 0o600) === -1 || bind(fd, address, address.length) === -1 || listen(fd, backlog) === -1) {
		const error = lastError(`listen for packets at ${path}`);
		closeSync(fd);
		throw error;
	}
	return fd;
}

/** The next connection, the caller's to close; undefined when none waits. */
export function acceptPackets(listener: number): number | undefined {
	const fd: number = functions().accept4(listener, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd !== -1) {
		return fd;
	}
	const error = lastError('accept a connection of packets');
	// One that was given up while it waited is no error either (accept(2)).
	if (error.code === 'UNAVAILABLE' || errnoOf(error) === 'ECONNABORTED') {
		return undefined;
	}
	throw error;
}

/** Never waits. A connection, the caller's to close; undefined when nobody listens there, or too many wait to be accepted. */
export function connectPackets(path: string): number | undefined {
	const address = unixAddress(path);
	const fd = packetSocket(path);
	if (functions().connect(fd, address, address.length) === 0) {
		return fd;
	}
	const error = lastError(`connect to ${path}`);
	closeSync(fd);
	if (['ENOENT', 'ECONNREFUSED', 'EAGAIN'].includes(errnoOf(error) ?? '')) {
		return undefined;
	}
	throw error;
}

function packetSocket(path: string): number {
	const fd: number = functions().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd === -1) {
		throw lastError(`make a socket for ${path}`);
	}
	return fd;
}

const backlog = 128;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

const functions = bindings(libc => ({
	socket: libc.func('int socket(int family, int type, int protocol)'),
	bind: libc.func('int bind(int socket, const void *address, uint length)'),
	listen: libc.func('int listen(int socket, int backlog)'),
	connect: libc.func('int connect(int socket, const void *address, uint length)'),
	accept4: libc.func('int accept4(int socket, void *address, void *length, int flags)'),
	fchmod: libc.func('int fchmod(int fd, uint mode)'),
}));
