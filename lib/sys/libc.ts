import {constants} from 'node:os';
import koffi, {type LibraryHandle} from 'koffi';
import {KeelsonError, type ErrorCode} from '../../kernel/errors.ts';

/** A file's name or path as the kernel has it: bytes. A string stands for its UTF-8. */
export type Name = string | Uint8Array;

/** Means the current directory where a directory's descriptor is asked for. */
export const AT_FDCWD = -100;

/** Bytes of a path with its NUL, at most (limits.h). */
const PATH_MAX = 4096;

/**
 * The functions of one topic, bound at the first call, which rejects where there is no such library or function. Binding costs some
 * 50 microseconds a function, and the shim needs few of them.
 * @param library as dlopen(3) finds it: glibc has this name on every supported system. null: what node itself is made of
 */
export function bindings<T>(bind: (library: LibraryHandle) => T, library: string | null = 'libc.so.6'): () => T {
	let bound: T | undefined;
	return () => {
		bound ??= bind(koffi.load(library));
		return bound;
	};
}

/** Where bytes lie, for C's structures. Good as long as somebody holds them, and not for those that a heap may move: of `Buffer.allocUnsafeSlow`, or shared ones. */
export function addressOf(bytes: Buffer): bigint {
	return koffi.address(bytes);
}

/** Bytes that no heap moves, and where they lie. */
export interface FixedBytes {
	readonly bytes: Buffer;
	readonly address: number;
}

/** @param size more than the 64 bytes that V8 keeps in its heap */
export function allocateFixed(size: number): FixedBytes {
	const bytes = Buffer.allocUnsafeSlow(size);
	return {bytes, address: Number(addressOf(bytes))};
}

/**
 * Where a name lies, with a NUL at its end, until the next is put into the same place: for one call that does not wait. Rejects as cString does, and with ENAMETOOLONG, as the
 * kernel would.
 */
export function nameAddress(name: Name, place: 0 | 1 = 0): number {
	const bytes = typeof name === 'string' ? Buffer.from(name) : name;
	if (bytes.length >= PATH_MAX) {
		throw systemError(constants.errno.ENAMETOOLONG, `use a name of ${bytes.length} bytes`);
	}
	if (bytes.indexOf(0) !== -1) {
		throw withNul(name);
	}
	const memory = names ??= allocateFixed(2 * PATH_MAX);
	const at = place * PATH_MAX;
	memory.bytes.set(bytes, at);
	memory.bytes[at + bytes.length] = 0;
	return memory.address + at;
}

let names: FixedBytes | undefined;

/** Ends a name for C. Rejects INVALID_ARGUMENT for a name with a NUL, which C would cut there. */
export function cString(name: Name): Buffer {
	const bytes = typeof name === 'string' ? Buffer.from(`${name}\0`) : terminated(name);
	if (bytes.indexOf(0) !== bytes.length - 1) {
		throw withNul(name);
	}
	return bytes;
}

function terminated(name: Uint8Array): Buffer {
	const bytes = Buffer.allocUnsafe(name.length + 1);
	bytes.set(name);
	bytes[name.length] = 0;
	return bytes;
}

function withNul(name: Name): KeelsonError {
	return new KeelsonError('INVALID_ARGUMENT', `name ${show(name)} has a NUL byte in it`);
}

/** For messages: bytes that are no UTF-8 are shown as replacement characters. */
export function show(name: Name): string {
	return JSON.stringify(typeof name === 'string' ? name : Buffer.from(name).toString());
}

/** What the last call of this thread left in errno, as an error. Must be asked for before any other call. */
export function lastError(what: string): KeelsonError {
	return systemError(koffi.errno(), what);
}

/** Whether errno is this one, for those who ask for it again afterwards: an error of it takes other calls, which may leave another. */
export function isLastErrno(errno: number): boolean {
	return koffi.errno() === errno;
}

/**
 * @param what the call and its subject: `mount overlay at /x`
 * @returns an error whose cause has the `errno` (positive) and its name as `code`, as errors of node:fs have
 */
export function systemError(errno: number, what: string): KeelsonError {
	const name = errnoName(errno);
	const description = String(strings().strerrordesc_np(errno) ?? 'unknown error').toLowerCase();
	const message = `${what}: ${name} (${description})`;
	const cause = Object.assign(new Error(message), {code: name, errno});
	return new KeelsonError(codes.get(name) ?? 'INTERNAL', message, {cause});
}

/** The name of the errno that lies behind an error of ours or of node:fs, such as `EBUSY`. */
export function errnoOf(error: unknown): string | undefined {
	for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
		if ('code' in at && typeof at.code === 'string' && at.code in constants.errno) {
			return at.code;
		}
	}
	return undefined;
}

/** Calls on a thread of the pool. @returns what C returned, and errno where that is -1 */
export function inPool(call: ReturnType<LibraryHandle['func']>, args: readonly unknown[]): Promise<{readonly result: number; readonly errno: number}> {
	return new Promise((resolve, reject) => {
		call.async(...args, (error: unknown, result: number) => {
			if (error instanceof Error) {
				reject(error);
				return;
			}
			// koffi hands the errno of the pool's thread to this one just before it calls back.
			resolve({result, errno: result === -1 ? koffi.errno() : 0});
		});
	});
}

function errnoName(errno: number): string {
	for (const [name, value] of Object.entries(constants.errno)) {
		// EWOULDBLOCK and EAGAIN, EOPNOTSUPP and ENOTSUP are the same numbers.
		if (value === errno && name !== 'EWOULDBLOCK' && name !== 'ENOTSUP') {
			return name;
		}
	}
	return String(strings().strerrorname_np(errno) ?? `errno ${errno}`);
}

const strings = bindings(libc => ({
	strerrordesc_np: libc.func('const char *strerrordesc_np(int errnum)'),
	strerrorname_np: libc.func('const char *strerrorname_np(int errnum)'),
}));

const codes: ReadonlyMap<string, ErrorCode> = new Map([
	['ENOENT', 'NOT_FOUND'],
	['ESRCH', 'NOT_FOUND'],
	['ENODATA', 'NOT_FOUND'],
	['EEXIST', 'ALREADY_EXISTS'],
	['EPERM', 'PERMISSION_DENIED'],
	['EACCES', 'PERMISSION_DENIED'],
	['EROFS', 'FAILED_PRECONDITION'],
	['EBUSY', 'FAILED_PRECONDITION'],
	['ENOTEMPTY', 'FAILED_PRECONDITION'],
	['ENOTDIR', 'FAILED_PRECONDITION'],
	['EISDIR', 'FAILED_PRECONDITION'],
	['EINVAL', 'INVALID_ARGUMENT'],
	['ENAMETOOLONG', 'INVALID_ARGUMENT'],
	['ENOSPC', 'RESOURCE_EXHAUSTED'],
	['EDQUOT', 'RESOURCE_EXHAUSTED'],
	['EMFILE', 'RESOURCE_EXHAUSTED'],
	['ENFILE', 'RESOURCE_EXHAUSTED'],
	['ENOMEM', 'RESOURCE_EXHAUSTED'],
	['ENOSYS', 'UNIMPLEMENTED'],
	['EOPNOTSUPP', 'UNIMPLEMENTED'],
	['EAGAIN', 'UNAVAILABLE'],
]);
