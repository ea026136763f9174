import {closeSync, writeSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {bindings, inPool, lastError, systemError} from './libc.ts';

/**
 * Tells when descriptors become readable that Node refuses to watch: a pidfd (readable when its process has ended), a socket over which
 * descriptors come. All of them wait on one thread of the pool, which is taken only while there is something to watch; what is
 * watched keeps this process alive. One for the process is enough.
 */
export class DescriptorWatcher implements AsyncDisposable {
	readonly #epoll: number;
	readonly #wake: number;
	readonly #watched = new Map<number, Set<Watch>>();
	readonly #wakeUp = (): void => {
		writeSync(this.#wake, one);
	};
	#loop: Promise<void> | undefined;
	#isClosed = false;

	constructor() {
		const {epoll_create1, eventfd} = functions();
		this.#epoll = epoll_create1(EPOLL_CLOEXEC);
		if (this.#epoll === -1) {
			throw lastError('create an epoll');
		}
		this.#wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (this.#wake === -1) {
			const error = lastError('create an eventfd');
			closeSync(this.#epoll);
			throw error;
		}
		this.#control(EPOLL_CTL_ADD, this.#wake);
	}

	/**
	 * Resolves once `fd` can be read, or has hung up; at once when that is so. It stays the caller's and must stay open until then.
	 * Rejects with CANCELLED when the signal is aborted (DEADLINE_EXCEEDED by a timeout) or the watcher closed.
	 */
	async readable(fd: number, signal?: AbortSignal): Promise<void> {
		if (this.#isClosed || signal?.aborted === true) {
			throw stopped(fd, signal);
		}
		const watch = Promise.withResolvers<void>();
		this.#add(fd, watch);
		const abort = (): void => this.#drop(fd, watch, stopped(fd, signal));
		signal?.addEventListener('abort', abort, {once: true});
		try {
			await watch.promise;
		} finally {
			signal?.removeEventListener('abort', abort);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#isClosed) {
			return;
		}
		this.#isClosed = true;
		// Deleting from a map or set while it is walked is safe.
		for (const [fd, watches] of this.#watched) {
			watches.forEach(watch => this.#drop(fd, watch, stopped(fd)));
		}
		await this.#loop;
		closeSync(this.#epoll);
		closeSync(this.#wake);
	}

	#add(fd: number, watch: Watch): void {
		const others = this.#watched.get(fd);
		if (others !== undefined) {
			others.add(watch);
			return;
		}
		this.#control(EPOLL_CTL_ADD, fd);
		this.#watched.set(fd, new Set([watch]));
		this.#loop ??= this.#run();
	}

	#drop(fd: number, watch: Watch, why: KeelsonError): void {
		const watches = this.#watched.get(fd);
		if (watches?.delete(watch) !== true) {
			return;
		}
		watch.reject(why);
		if (watches.size === 0) {
			this.#watched.delete(fd);
			this.#control(EPOLL_CTL_DEL, fd);
		}
		if (this.#watched.size === 0) {
			this.#wakeUp();
		}
	}

	async #run(): Promise<void> {
		// An exit waits for the threads of the pool, so the one that waits here has to be let go.
		process.once('exit', this.#wakeUp);
		try {
			while (this.#watched.size > 0) {
				const events = Buffer.alloc(eventBytes * eventsAtOnce);
				const {result, errno} = await inPool(functions().epoll_wait, [this.#epoll, events, eventsAtOnce, -1]);
				if (result === -1 && errno !== EINTR) {
					throw systemError(errno, 'wait for descriptors');
				}
				for (let index = 0; index < result; index++) {
					this.#seen(events.readInt32LE(index * eventBytes + dataOffset));
				}
			}
		} catch (error) {
			const watches = [...this.#watched.values()];
			this.#watched.clear();
			watches.flatMap(set => [...set]).forEach(watch => watch.reject(error));
		} finally {
			process.off('exit', this.#wakeUp);
			this.#loop = undefined;
		}
	}

	#seen(fd: number): void {
		if (fd === this.#wake) {
			functions().eventfd_read(this.#wake, Buffer.alloc(8));
			return;
		}
		const watches = this.#watched.get(fd);
		if (watches !== undefined) {
			this.#watched.delete(fd);
			this.#control(EPOLL_CTL_DEL, fd);
			watches.forEach(watch => watch.resolve());
		}
	}

	#control(operation: number, fd: number): void {
		const event = Buffer.alloc(eventBytes);
		event.writeUInt32LE(EPOLLIN, 0);
		event.writeInt32LE(fd, dataOffset);
		if (functions().epoll_ctl(this.#epoll, operation, fd, event) === -1 && operation === EPOLL_CTL_ADD) {
			throw lastError(`watch descriptor ${fd}`);
		}
	}
}

function stopped(fd: number, signal?: AbortSignal): KeelsonError {
	const cause: unknown = signal?.reason;
	const code = cause instanceof Error && cause.name === 'TimeoutError' ? 'DEADLINE_EXCEEDED' : 'CANCELLED';
	return new KeelsonError(code, `watch of descriptor ${fd}: ${signal?.aborted === true ? 'aborted' : 'the watcher is closed'}`, {cause});
}

type Watch = PromiseWithResolvers<void>;

const one = new Uint8Array(new BigUint64Array([1n]).buffer);
const eventsAtOnce = 64;
// struct epoll_event is packed on x64 alone.
const dataOffset = process.arch === 'x64' ? 4 : 8;
const eventBytes = dataOffset + 8;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const EINTR = 4;

const functions = bindings(libc => ({
	epoll_create1: libc.func('int epoll_create1(int flags)'),
	epoll_ctl: libc.func('int epoll_ctl(int epoll, int operation, int fd, void *event)'),
	epoll_wait: libc.func('int epoll_wait(int epoll, void *events, int count, int timeout)'),
	eventfd: libc.func('int eventfd(uint initial, int flags)'),
	eventfd_read: libc.func('int eventfd_read(int fd, void *value)'),
}));
