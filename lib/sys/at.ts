import {constants, closeSync} from 'node:fs';
import {allocateFixed, bindings, lastError, nameAddress, show, type Name} from './libc.ts';

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
		return checked(functions().openat(directory, nameAddress(name), flags | O_CLOEXEC, mode), 'open', name);
	}
	const {words, address} = memory();
	words[0] = BigInt(flags | O_CLOEXEC);
	// openat2 refuses a mode where nothing is made.
	words[1] = (flags & constants.O_CREAT) === 0 ? 0n : BigInt(mode);
	words[2] = BigInt(resolve);
	return checked(functions().openat2(SYS_openat2, directory, nameAddress(name), address, HOW_BYTES), 'open', name);
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
	checked(functions().mkdirat(directory, nameAddress(name), mode), 'make directory', name);
}

/** @param mode with the type: S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK or S_IFREG */
export function makeNodeAt(directory: number, name: Name, mode: number, device: {readonly major: number; readonly minor: number} = {major: 0, minor: 0}): void {
	checked(functions().mknodat(directory, nameAddress(name), mode, makeDevice(device.major, device.minor)), 'make node', name);
}

export function makeSymlinkAt(target: Name, directory: number, name: Name): void {
	checked(functions().symlinkat(nameAddress(target), directory, nameAddress(name, 1)), 'make symbolic link', name);
}

/** A symbolic link at the end of `from` is linked itself, not followed, unless `flags` has SYMLINK_FOLLOW. */
export function makeLinkAt(fromDirectory: number, from: Name, toDirectory: number, to: Name, flags = 0): void {
	checked(functions().linkat(fromDirectory, nameAddress(from), toDirectory, nameAddress(to, 1), flags), `link ${show(from)} as`, to);
}

export function unlinkAt(directory: number, name: Name): void {
	checked(functions().unlinkat(directory, nameAddress(name), 0), 'unlink', name);
}

export function removeDirectoryAt(directory: number, name: Name): void {
	checked(functions().unlinkat(directory, nameAddress(name), AT.REMOVEDIR), 'remove directory', name);
}

export function renameAt(fromDirectory: number, from: Name, toDirectory: number, to: Name, flags = 0): void {
	checked(functions().renameat2(fromDirectory, nameAddress(from), toDirectory, nameAddress(to, 1), flags), `rename ${show(from)} to`, to);
}

/** Changes the owner of the name itself, which may be a symbolic link. An empty name is the directory's descriptor. */
export function changeOwnerAt(directory: number, name: Name, uid: number, gid: number): void {
	const flags = AT.SYMLINK_NOFOLLOW | (name.length === 0 ? AT.EMPTY_PATH : 0);
	checked(functions().fchownat(directory, nameAddress(name), uid, gid, flags), 'change owner of', name);
}

/** Follows a symbolic link at the end; a link has no mode of its own. */
export function changeModeAt(directory: number, name: Name, mode: number): void {
	checked(functions().fchmodat(directory, nameAddress(name), mode, 0), 'change mode of', name);
}

export function changeMode(fd: number, mode: number): void {
	if (functions().fchmod(fd, mode) === -1) {
		throw lastError(`change mode of descriptor ${fd}`);
	}
}

/** Times in nanoseconds since 1970, maybe before it; undefined leaves one as it is. Of the name itself, which may be a link. */
export function changeTimesAt(directory: number, name: Name, times: {readonly atimeNs?: bigint | undefined; readonly mtimeNs?: bigint | undefined}): void {
	checked(functions().utimensat(directory, nameAddress(name), timesOf(times), AT.SYMLINK_NOFOLLOW), 'change times of', name);
}

/** The same for an open file. */
export function changeTimes(fd: number, times: {readonly atimeNs?: bigint | undefined; readonly mtimeNs?: bigint | undefined}): void {
	if (functions().futimens(fd, timesOf(times)) === -1) {
		throw lastError(`change times of descriptor ${fd}`);
	}
}

/** Where both lie for the next call; most files have the times of the one before. */
function timesOf({atimeNs, mtimeNs}: {readonly atimeNs?: bigint | undefined; readonly mtimeNs?: bigint | undefined}): number {
	const {words, address} = memory();
	if (!areWritten || atimeNs !== writtenAtimeNs || mtimeNs !== writtenMtimeNs) {
		writeTime(words, TIMES, atimeNs);
		writeTime(words, TIMES + 2, mtimeNs);
		writtenAtimeNs = atimeNs;
		writtenMtimeNs = mtimeNs;
		areWritten = true;
	}
	return address + TIMES * 8;
}

/** The target's bytes as they are. An empty name is that of a descriptor which was opened with O_PATH | O_NOFOLLOW. */
export function readLinkAt(directory: number, name: Name): Buffer {
	// PATH_MAX, with room to see that it was not cut.
	const target = Buffer.alloc(4097);
	const length = checked(functions().readlinkat(directory, nameAddress(name), target, target.length), 'read link', name);
	return Buffer.from(target.subarray(0, length));
}

/** Joins the parts of a device number as glibc's makedev(3) does. */
export function makeDevice(major: number, minor: number): bigint {
	const high = BigInt(major);
	const low = BigInt(minor);
	return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

interface Words {
	readonly words: BigInt64Array;
	readonly address: number;
}

/** What calls read besides names: openat2's `how`, and at TIMES two times of two words. */
function memory(): Words {
	if (words === undefined) {
		const {bytes, address} = allocateFixed(WORDS * 8);
		words = {words: new BigInt64Array(bytes.buffer, bytes.byteOffset, WORDS), address};
	}
	return words;
}

let words: Words | undefined;
let areWritten = false;
let writtenAtimeNs: bigint | undefined;
let writtenMtimeNs: bigint | undefined;

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

const WORDS = 16;
const TIMES = 4;
const HOW_BYTES = 24;
const nsPerSecond = 1_000_000_000n;
const UTIME_OMIT = 0x3ffffffen;
const SYS_openat2 = 437;

const functions = bindings(libc => ({
	openat2: libc.func('syscall', 'long', ['long', 'int', 'uintptr_t', 'uintptr_t', 'size_t']),
	openat: libc.func('int openat(int directory, uintptr_t name, int flags, uint mode)'),
	mkdirat: libc.func('int mkdirat(int directory, uintptr_t name, uint mode)'),
	mknodat: libc.func('int mknodat(int directory, uintptr_t name, uint mode, uint64_t device)'),
	symlinkat: libc.func('int symlinkat(uintptr_t target, int directory, uintptr_t name)'),
	linkat: libc.func('int linkat(int fromDirectory, uintptr_t from, int toDirectory, uintptr_t to, int flags)'),
	unlinkat: libc.func('int unlinkat(int directory, uintptr_t name, int flags)'),
	renameat2: libc.func('int renameat2(int fromDirectory, uintptr_t from, int toDirectory, uintptr_t to, uint flags)'),
	fchownat: libc.func('int fchownat(int directory, uintptr_t name, uint uid, uint gid, int flags)'),
	fchmodat: libc.func('int fchmodat(int directory, uintptr_t name, uint mode, int flags)'),
	fchmod: libc.func('int fchmod(int fd, uint mode)'),
	utimensat: libc.func('int utimensat(int directory, uintptr_t name, uintptr_t times, int flags)'),
	futimens: libc.func('int futimens(int fd, uintptr_t times)'),
	readlinkat: libc.func('long readlinkat(int directory, uintptr_t name, void *target, size_t size)'),
}));
