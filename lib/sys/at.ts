import {constants, closeSync} from 'node:fs';
import {bindings, cString, lastError, show, type Name} from './libc.ts';

/** Same on x64 and arm64; node:fs has the other O_ flags, with the values of this machine. */
export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;

/** Flags of openat2(2)'s `resolve`. */
export const RESOLVE = {NO_XDEV: 1, NO_MAGICLINKS: 2, NO_SYMLINKS: 4, BENEATH: 8, IN_ROOT: 16, CACHED: 32} as const;

/** Flags of renameat2(2). */
export const RENAME = {NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4} as const;

/** Flags of the ...at calls. */
export const AT = {SYMLINK_NOFOLLOW: 0x100, REMOVEDIR: 0x200, SYMLINK_FOLLOW: 0x400, EMPTY_PATH: 0x1000} as const;

/**
 * openat(2), or openat2(2), for which a path can be held within `directory` whatever links are on the way. The result is a descriptor that
 * belongs to the caller; it is closed on exec.
 */
export function openAt(directory: number, name: Name, {flags, mode = 0, resolve = 0}: {readonly flags: number; readonly mode?: number; readonly resolve?: number}): number {
	if (resolve === 0) {
		return checked(functions().openat(directory, cString(name), flags | O_CLOEXEC, mode), 'open', name);
	}
	const how = Buffer.alloc(24);
	how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
	// openat2 refuses a mode where nothing is made.
	how.writeBigUInt64LE((flags & constants.O_CREAT) === 0 ? 0n : BigInt(mode), 8);
	how.writeBigUInt64LE(BigInt(resolve), 16);
	return checked(functions().openat2(SYS_openat2, directory, cString(name), how, how.length), 'open', name);
}

/** Opens for a block and closes at its end. */
export class Descriptor implements Disposable {
	readonly fd: number;
	#isOpen = true;

	constructor(fd: number) {
		this.fd = fd;
	}

	[Symbol.dispose](): void {
		if (this.#isOpen) {
			this.#isOpen = false;
			closeSync(this.fd);
		}
	}
}

export function makeDirectoryAt(directory: number, name: Name, mode: number): void {
	checked(functions().mkdirat(directory, cString(name), mode), 'make directory', name);
}

/** @param mode with the type: S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK or S_IFREG */
export function makeNodeAt(directory: number, name: Name, mode: number, device: {readonly major: number; readonly minor: number} = {major: 0, minor: 0}): void {
	checked(functions().mknodat(directory, cString(name), mode, makeDevice(device.major, device.minor)), 'make node', name);
}

export function makeSymlinkAt(target: Name, directory: number, name: Name): void {
	checked(functions().symlinkat(cString(target), directory, cString(name)), 'make symbolic link', name);
}

/** A symbolic link at the end of `from` is linked itself, not followed, unless `flags` has SYMLINK_FOLLOW. */
export function makeLinkAt(fromDirectory: number, from: Name, toDirectory: number, to: Name, flags = 0): void {
	checked(functions().linkat(fromDirectory, cString(from), toDirectory, cString(to), flags), `link ${show(from)} as`, to);
}

export function unlinkAt(directory: number, name: Name): void {
	checked(functions().unlinkat(directory, cString(name), 0), 'unlink', name);
}

export function removeDirectoryAt(directory: number, name: Name): void {
	checked(functions().unlinkat(directory, cString(name), AT.REMOVEDIR), 'remove directory', name);
}

export function renameAt(fromDirectory: number, from: Name, toDirectory: number, to: Name, flags = 0): void {
	checked(functions().renameat2(fromDirectory, cString(from), toDirectory, cString(to), flags), `rename ${show(from)} to`, to);
}

/** Changes the owner of the name itself, which may be a symbolic link. An empty name is the directory's descriptor. */
export function changeOwnerAt(directory: number, name: Name, uid: number, gid: number): void {
	const flags = AT.SYMLINK_NOFOLLOW | (name.length === 0 ? AT.EMPTY_PATH : 0);
	checked(functions().fchownat(directory, cString(name), uid, gid, flags), 'change owner of', name);
}

/** Follows a symbolic link at the end; a link has no mode of its own. */
export function changeModeAt(directory: number, name: Name, mode: number): void {
	checked(functions().fchmodat(directory, cString(name), mode, 0), 'change mode of', name);
}

export function changeMode(fd: number, mode: number): void {
	if (functions().fchmod(fd, mode) === -1) {
		throw lastError(`change mode of descriptor ${fd}`);
	}
}

/** Times in nanoseconds since 1970, maybe before it; undefined leaves one as it is. Of the name itself, which may be a link. */
export function changeTimesAt(directory: number, name: Name, times: {readonly atimeNs?: bigint | undefined; readonly mtimeNs?: bigint | undefined}): void {
	checked(functions().utimensat(directory, cString(name), timesOf(times), AT.SYMLINK_NOFOLLOW), 'change times of', name);
}

/** The same for an open file. */
export function changeTimes(fd: number, times: {readonly atimeNs?: bigint | undefined; readonly mtimeNs?: bigint | undefined}): void {
	if (functions().futimens(fd, timesOf(times)) === -1) {
		throw lastError(`change times of descriptor ${fd}`);
	}
}

function timesOf({atimeNs, mtimeNs}: {readonly atimeNs?: bigint | undefined; readonly mtimeNs?: bigint | undefined}): BigInt64Array {
	const specs = new BigInt64Array(4);
	writeTime(specs, 0, atimeNs);
	if (atimeNs === mtimeNs) {
		specs.copyWithin(2, 0, 2);
	} else {
		writeTime(specs, 2, mtimeNs);
	}
	return specs;
}

/** The target's bytes as they are. An empty name is that of a descriptor which was opened with O_PATH | O_NOFOLLOW. */
export function readLinkAt(directory: number, name: Name): Buffer {
	// PATH_MAX, with room to see that it was not cut.
	const target = Buffer.alloc(4097);
	const length = checked(functions().readlinkat(directory, cString(name), target, target.length), 'read link', name);
	return Buffer.from(target.subarray(0, length));
}

/** Joins the parts of a device number as glibc's makedev(3) does. */
export function makeDevice(major: number, minor: number): bigint {
	const high = BigInt(major);
	const low = BigInt(minor);
	return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

function writeTime(specs: BigInt64Array, at: number, timeNs: bigint | undefined): void {
	if (timeNs === undefined) {
		specs[at + 1] = UTIME_OMIT;
		return;
	}
	const rest = timeNs % nsPerSecond;
	const nanoseconds = rest < 0n ? rest + nsPerSecond : rest;
	specs[at] = (timeNs - nanoseconds) / nsPerSecond;
	specs[at + 1] = nanoseconds;
}

function checked(result: number, what: string, name: Name): number {
	if (result === -1) {
		throw lastError(`${what} ${show(name)}`);
	}
	return result;
}

const nsPerSecond = 1_000_000_000n;
const UTIME_OMIT = 0x3ffffffen;
const SYS_openat2 = 437;

const functions = bindings(libc => ({
	openat2: libc.func('syscall', 'long', ['long', 'int', 'const char *', 'void *', 'size_t']),
	openat: libc.func('int openat(int directory, const char *name, int flags, uint mode)'),
	mkdirat: libc.func('int mkdirat(int directory, const char *name, uint mode)'),
	mknodat: libc.func('int mknodat(int directory, const char *name, uint mode, uint64_t device)'),
	symlinkat: libc.func('int symlinkat(const char *target, int directory, const char *name)'),
	linkat: libc.func('int linkat(int fromDirectory, const char *from, int toDirectory, const char *to, int flags)'),
	unlinkat: libc.func('int unlinkat(int directory, const char *name, int flags)'),
	renameat2: libc.func('int renameat2(int fromDirectory, const char *from, int toDirectory, const char *to, uint flags)'),
	fchownat: libc.func('int fchownat(int directory, const char *name, uint uid, uint gid, int flags)'),
	fchmodat: libc.func('int fchmodat(int directory, const char *name, uint mode, int flags)'),
	fchmod: libc.func('int fchmod(int fd, uint mode)'),
	utimensat: libc.func('int utimensat(int directory, const char *name, void *times, int flags)'),
	futimens: libc.func('int futimens(int fd, void *times)'),
	readlinkat: libc.func('long readlinkat(int directory, const char *name, void *target, size_t size)'),
}));
