import {bindings, cString, lastError, show, type Name} from './libc.ts';
import {AT} from './at.ts';

/** What statx(2) says of a file; times in nanoseconds since 1970. */
export interface FileStatus {
	/** With the type, as in S_IFMT. */
	readonly mode: number;
	readonly nlink: number;
	readonly uid: number;
	readonly gid: number;
	readonly ino: bigint;
	readonly size: bigint;
	/** Of 512 bytes each. */
	readonly blocks: bigint;
	readonly device: {readonly major: number; readonly minor: number};
	/** Of a device node. */
	readonly rdev: {readonly major: number; readonly minor: number};
	readonly atimeNs: bigint;
	readonly mtimeNs: bigint;
	readonly ctimeNs: bigint;
	readonly isMountRoot: boolean;
}

/** Of the name itself, which may be a symbolic link. An empty name is the descriptor. No automount is triggered. */
export function statusAt(directory: number, name: Name): FileStatus {
	const buffer = Buffer.alloc(256);
	const flags = AT.SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name.length === 0 ? AT.EMPTY_PATH : 0);
	if (functions().statx(directory, cString(name), flags, STATX_BASIC_STATS, buffer) === -1) {
		throw lastError(`status of ${show(name)}`);
	}
	return {
		mode: buffer.readUInt16LE(28),
		nlink: buffer.readUInt32LE(16),
		uid: buffer.readUInt32LE(20),
		gid: buffer.readUInt32LE(24),
		ino: buffer.readBigUInt64LE(32),
		size: buffer.readBigUInt64LE(40),
		blocks: buffer.readBigUInt64LE(48),
		device: {major: buffer.readUInt32LE(136), minor: buffer.readUInt32LE(140)},
		rdev: {major: buffer.readUInt32LE(128), minor: buffer.readUInt32LE(132)},
		atimeNs: readTime(buffer, 64),
		ctimeNs: readTime(buffer, 96),
		mtimeNs: readTime(buffer, 112),
		isMountRoot: (buffer.readBigUInt64LE(8) & STATX_ATTR_MOUNT_ROOT) !== 0n,
	};
}

function readTime(buffer: Buffer, offset: number): bigint {
	return buffer.readBigInt64LE(offset) * 1_000_000_000n + BigInt(buffer.readUInt32LE(offset + 8));
}

const AT_NO_AUTOMOUNT = 0x800;
const STATX_BASIC_STATS = 0x7ff;
const STATX_ATTR_MOUNT_ROOT = 0x2000n;

const functions = bindings(libc => ({
	statx: libc.func('int statx(int directory, const char *name, int flags, uint mask, void *status)'),
}));
