import {KeelsonError} from '../../kernel/errors.ts';
import {bindings, lastError} from './libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const PATH_MAX_BYTES = 107;

const libc = bindings((library) => ({
	socket: library.func('int socket(int domain, int type, int protocol)'),
	sendto: library.func('long sendto(int fd, const void *bytes, unsigned long length, int flags, const void *address, uint32_t address_length)'),
	close: library.func('int close(int fd)'),
}));

/**
 * Sends `state` to the service manager as sd_notify(3) prescribes: one datagram to the socket that NOTIFY_SOCKET names, a path
 * or `@name` for an abstract one. Never waits. Rejects what the system rejects (ENOENT, EAGAIN, ...).
 */
export function notify(socketName: string, state: string): void {
	const {socket, sendto, close} = libc();
	const address = unixAddress(socketName);
	const descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
	if (descriptor === -1) {
		throw lastError('make a datagram socket');
	}
	try {
		const bytes = Buffer.from(state);
		if (sendto(descriptor, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length) === -1) {
			throw lastError(`send ${JSON.stringify(state)} to ${socketName}`);
		}
	} finally {
		close(descriptor);
	}
}

// struct sockaddr_un: the family in the machine's order, then the path; an abstract name begins with a NUL.
function unixAddress(name: string): Buffer {
	const path = Buffer.from(name.startsWith('@') ? `\0${name.slice(1)}` : `${name}\0`);
	if (!/^[/@]/.test(name) || path.length > PATH_MAX_BYTES + 1) {
		throw new KeelsonError('INVALID_ARGUMENT', `NOTIFY_SOCKET ${name} is neither a path nor an abstract name of at most ${PATH_MAX_BYTES} bytes`);
	}
	const family = Buffer.from(new Uint16Array([AF_UNIX]).buffer);
	return Buffer.concat([family, path]);
}
