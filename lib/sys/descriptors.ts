import {closeSync} from 'node:fs';
import koffi from 'koffi';
import {KeelsonError} from '../../kernel/errors.ts';
import type {DescriptorWatcher} from './descriptor-watcher.ts';
import {bindings, inPool, lastError, systemError} from './libc.ts';

/** The kernel's limit for one message (SCM_MAX_FD). */
export const descriptorsMax = 253;

/**
 * Sends copies of descriptors over a connected unix stream socket, along with `data`, which must not be empty. One call is one
 * message: a receiver never gets two of them at once. Ours stay open.
 */
export async function sendDescriptors(socket: number, fds: readonly number[], data: Uint8Array = new Uint8Array(1)): Promise<void> {
	if (data.length === 0 || fds.length > descriptorsMax) {
		throw new KeelsonError('INVALID_ARGUMENT', `cannot send ${fds.length} descriptors with ${data.length} bytes: at most ${descriptorsMax}, at least one`);
	}
	const message = new Message(Buffer.from(data), fds.length);
	message.write(fds);
	const {result, errno} = await inPool(functions().sendmsg, [socket, message.header, MSG_NOSIGNAL]);
	if (result === -1) {
		throw systemError(errno, `send ${fds.length} descriptors over descriptor ${socket}`);
	}
	// The message is looked at again, so that what its header points to lives until here.
	if (result !== message.data.length) {
		throw new KeelsonError('INTERNAL', `sent ${result} bytes beside descriptors over descriptor ${socket}, expected ${data.length}`);
	}
}

/**
 * The same, and never waits: false when the receiver takes nothing now. Rejects when the connection is gone. On a socket of packets `data` is one.
 */
export function trySendDescriptors(socket: number, fds: readonly number[], data: Uint8Array): boolean {
	const message = new Message(Buffer.from(data), fds.length);
	message.write(fds);
	if (functions().sendmsg(socket, message.header, MSG_NOSIGNAL | MSG_DONTWAIT) !== -1) {
		return message.data.length > 0;
	}
	const error = lastError(`send ${fds.length} descriptors over descriptor ${socket}`);
	if (error.code === 'UNAVAILABLE') {
		return false;
	}
	throw error;
}

/** Two ends of a new unix stream connection, closed on exec, the caller's to close. */
export function socketPair(): readonly [number, number] {
	const pair = Buffer.alloc(8);
	if (functions().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) === -1) {
		throw lastError('make a socket pair');
	}
	return [pair.readInt32LE(0), pair.readInt32LE(4)];
}

export interface ReceivedDescriptors {
	/** The receiver's to close; closed on exec. */
	readonly fds: readonly number[];
	/** Empty at the end of the connection. */
	readonly data: Buffer;
}

/**
 * Takes one message off a connected unix stream socket, waiting for it. Rejects with RESOURCE_EXHAUSTED, and keeps none, when there
 * were more than `fdsMax` descriptors; with CANCELLED or DEADLINE_EXCEEDED when the signal is aborted.
 */
export async function receiveDescriptors(
	socket: number,
	watcher: DescriptorWatcher,
	{fdsMax = 16, bytesMax = 4096, signal}: {readonly fdsMax?: number; readonly bytesMax?: number; readonly signal?: AbortSignal | undefined} = {},
): Promise<ReceivedDescriptors> {
	for (;;) {
		await watcher.readable(socket, signal);
		const message = new Message(Buffer.alloc(bytesMax), fdsMax);
		const result: number = functions().recvmsg(socket, message.header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (result !== -1) {
			return toReceived(message, result, fdsMax);
		}
		const error = lastError(`receive descriptors over descriptor ${socket}`);
		if (error.code !== 'UNAVAILABLE') {
			throw error;
		}
	}
}

function toReceived(message: Message, bytes: number, fdsMax: number): ReceivedDescriptors {
	const fds = message.read();
	if (message.isCut) {
		fds.forEach(fd => closeSync(fd));
		throw new KeelsonError('RESOURCE_EXHAUSTED', `a message had more than ${fdsMax} descriptors`);
	}
	return {fds, data: Buffer.from(message.data.subarray(0, bytes))};
}

// struct msghdr:  0 name  8 namelen  16 iov  24 iovlen  32 control  40 controllen  48 flags
// struct cmsghdr: 0 len   8 level   12 type  16 the descriptors, 4 bytes each
class Message {
	readonly header = Buffer.alloc(56);
	readonly data: Buffer;
	readonly #vector = Buffer.alloc(16);
	readonly #control: Buffer;

	constructor(data: Buffer, fds: number) {
		this.data = data;
		this.#control = Buffer.alloc(fds === 0 ? 0 : cmsgBytes + Math.ceil(fds * 4 / 8) * 8);
		this.#vector.writeBigUInt64LE(koffi.address(data), 0);
		this.#vector.writeBigUInt64LE(BigInt(data.length), 8);
		this.header.writeBigUInt64LE(koffi.address(this.#vector), 16);
		this.header.writeBigUInt64LE(1n, 24);
		if (this.#control.length > 0) {
			this.header.writeBigUInt64LE(koffi.address(this.#control), 32);
			this.header.writeBigUInt64LE(BigInt(this.#control.length), 40);
		}
	}

	get isCut(): boolean {
		return (this.header.readInt32LE(48) & MSG_CTRUNC) !== 0;
	}

	write(fds: readonly number[]): void {
		if (fds.length > 0) {
			this.#control.writeBigUInt64LE(BigInt(cmsgBytes + fds.length * 4), 0);
			this.#control.writeInt32LE(SOL_SOCKET, 8);
			this.#control.writeInt32LE(SCM_RIGHTS, 12);
			fds.forEach((fd, index) => this.#control.writeInt32LE(fd, cmsgBytes + index * 4));
		}
	}

	read(): readonly number[] {
		const fds: number[] = [];
		const length = Number(this.header.readBigUInt64LE(40));
		if (length >= cmsgBytes && this.#control.readInt32LE(8) === SOL_SOCKET && this.#control.readInt32LE(12) === SCM_RIGHTS) {
			const end = Math.min(Number(this.#control.readBigUInt64LE(0)), this.#control.length);
			for (let at = cmsgBytes; at + 4 <= end; at += 4) {
				fds.push(this.#control.readInt32LE(at));
			}
		}
		return fds;
	}
}

const cmsgBytes = 16;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

const functions = bindings(libc => ({
	socketpair: libc.func('int socketpair(int family, int type, int protocol, void *pair)'),
	sendmsg: libc.func('long sendmsg(int socket, const void *message, int flags)'),
	recvmsg: libc.func('long recvmsg(int socket, void *message, int flags)'),
}));
