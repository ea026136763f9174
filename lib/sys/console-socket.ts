import {closeSync} from 'node:fs';
import {unlink} from 'node:fs/promises';
import {KeelsonError} from '../../kernel/errors.ts';
import {Descriptor} from './at.ts';
import type {DescriptorWatcher} from './descriptor-watcher.ts';
import {receiveDescriptors} from './descriptors.ts';
import {bindings, errnoOf, lastError} from './libc.ts';
import {AF_UNIX, unixAddress} from './unix-address.ts';

/**
 * Where an OCI runtime delivers the master's end of a container's terminal (`--console-socket`): one connection, one message, one
 * descriptor. End it with `Symbol.asyncDispose`, which also removes the socket from the file system.
 */
export class ConsoleSocket implements AsyncDisposable {
	readonly path: string;
	readonly #fd: number;
	readonly #watcher: DescriptorWatcher;
	readonly #closing = new AbortController();

	private constructor(path: string, fd: number, watcher: DescriptorWatcher) {
		this.path = path;
		this.#fd = fd;
		this.#watcher = watcher;
	}

	/** Listens at `path` with mode 0600. Rejects with ALREADY_EXISTS when a file is there, INVALID_ARGUMENT for a path over 107 bytes. */
	static listen(path: string, watcher: DescriptorWatcher): ConsoleSocket {
		const {socket, bind, listen, fchmod} = functions();
		const address = unixAddress(path);
		const fd: number = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd === -1) {
			throw lastError(`console socket at ${path}`);
		}
		try {
			// Before it has a name: then nobody else can connect in between.
			if (fchmod(fd, 0o600) === -1) {
				throw lastError(`console socket at ${path}`);
			}
			if (bind(fd, address, address.length) === -1) {
				const error = lastError(`console socket at ${path}`);
				throw errnoOf(error) === 'EADDRINUSE' ? new KeelsonError('ALREADY_EXISTS', error.message, {cause: error.cause}) : error;
			}
			if (listen(fd, 1) === -1) {
				throw lastError(`console socket at ${path}`);
			}
		} catch (error) {
			closeSync(fd);
			throw error;
		}
		return new ConsoleSocket(path, fd, watcher);
	}

	/**
	 * Resolves with the terminal's descriptor, the caller's to close. Rejects with CANCELLED or DEADLINE_EXCEEDED when the signal is
	 * aborted, CANCELLED when the socket is closed meanwhile, INVALID_ARGUMENT when what came was not one descriptor.
	 */
	async receive(signal?: AbortSignal): Promise<number> {
		const both = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
		await this.#watcher.readable(this.#fd, both);
		const connection: number = functions().accept4(this.#fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (connection === -1) {
			throw lastError(`console socket at ${this.path}`);
		}
		using open = new Descriptor(connection);
		const {fds} = await receiveDescriptors(open.fd, this.#watcher, {fdsMax: 4, signal: both});
		const [fd, ...more] = fds;
		if (fd === undefined || more.length > 0) {
			fds.forEach(one => closeSync(one));
			throw new KeelsonError('INVALID_ARGUMENT', `console socket at ${this.path} got ${fds.length} descriptors, expected 1`);
		}
		return fd;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#closing.signal.aborted) {
			return;
		}
		this.#closing.abort();
		closeSync(this.#fd);
		try {
			await unlink(this.path);
		} catch (error) {
			if (errnoOf(error) !== 'ENOENT') {
				throw KeelsonError.from(error, 'INTERNAL');
			}
		}
	}
}

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

const functions = bindings(libc => ({
	socket: libc.func('int socket(int family, int type, int protocol)'),
	bind: libc.func('int bind(int socket, const void *address, uint length)'),
	listen: libc.func('int listen(int socket, int backlog)'),
	accept4: libc.func('int accept4(int socket, void *address, void *length, int flags)'),
	fchmod: libc.func('int fchmod(int fd, uint mode)'),
}));
