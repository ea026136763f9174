import {closeSync, openSync} from 'node:fs';
import {bindings, lastError} from './libc.ts';

/**
 * Brings `lo` up in the network namespace that is pinned at `path`. A socket belongs to the namespace in which it was made, so this
 * thread is there for the making of one alone: three calls with nothing between them.
 */
export function bringLoopbackUp(path: string): void {
	const socket = socketIn(path);
	try {
		// struct ifreq: the name in 16 bytes, then the flags.
		const request = Buffer.alloc(40);
		request.write('lo');
		if (functions().ioctl(socket, SIOCGIFFLAGS, request) === -1) {
			throw lastError(`flags of lo in ${path}`);
		}
		request.writeUInt16LE(request.readUInt16LE(16) | IFF_UP, 16);
		if (functions().ioctl(socket, SIOCSIFFLAGS, request) === -1) {
			throw lastError(`bring lo up in ${path}`);
		}
	} finally {
		closeSync(socket);
	}
}

function socketIn(path: string): number {
	const {setns, socket} = functions();
	const there = openSync(path, 'r');
	const here = openSync('/proc/thread-self/ns/net', 'r');
	try {
		if (setns(there, CLONE_NEWNET) === -1) {
			throw lastError(`enter network namespace ${path}`);
		}
		const made: number = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		const error = made === -1 ? lastError(`socket in network namespace ${path}`) : undefined;
		if (setns(here, CLONE_NEWNET) === -1) {
			// A daemon that listens and connects in a container's network is worse than none.
			process.abort();
		}
		if (error !== undefined) {
			throw error;
		}
		return made;
	} finally {
		closeSync(here);
		closeSync(there);
	}
}

const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;

const functions = bindings(libc => ({
	setns: libc.func('int setns(int fd, int kind)'),
	socket: libc.func('int socket(int family, int type, int protocol)'),
	ioctl: libc.func('ioctl', 'int', ['int', 'ulong', 'void *']),
}));
