import {closeSync, constants, fstatSync, openSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {bindings, errnoOf, inPool, systemError, type Name} from './libc.ts';

/** How often a free device is asked for: between that and the taking of it, others may take it. */
const attemptsMax = 64;

export interface LoopOptions {
	readonly isReadOnly?: boolean;
	/** Past the page cache of the file below. */
	readonly isDirect?: boolean;
}

/** A loop device that goes by itself (autoclear) once nobody has it open: while this is not disposed, we have. */
export interface LoopDevice extends Disposable {
	/** `/dev/loop0` */
	readonly path: string;
	/** What it shows, as the kernel names it: device and inode. A number of a device says little: it is given again. */
	readonly backing: string;
}

/**
 * Makes a regular file, or a block device, a block device of its own (loop(4), LOOP_CONFIGURE: Linux 5.8). Rejects with NOT_FOUND, INVALID_ARGUMENT
 * (no file that can be), FAILED_PRECONDITION (no loop devices here), UNAVAILABLE when others took each that was free.
 */
export async function attachLoop(file: Name, {isReadOnly = false, isDirect = false}: LoopOptions = {}): Promise<LoopDevice> {
	// Without O_NONBLOCK a FIFO would wait for its other end.
	const backing = openAs(file, (isReadOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NONBLOCK);
	try {
		const status = fstatSync(backing);
		if (!status.isFile() && !status.isBlockDevice()) {
			throw new KeelsonError('INVALID_ARGUMENT', `${String(file)} is neither a file nor a block device: it cannot be a loop device`);
		}
		const flags = LO_FLAGS.AUTOCLEAR | (isReadOnly ? LO_FLAGS.READ_ONLY : 0) | (isDirect ? LO_FLAGS.DIRECT_IO : 0);
		return await attachFree(backing, flags, String(file));
	} finally {
		closeSync(backing);
	}
}

/** Keeps the device when nobody has it open, until `detachLoop`. Rejects with FAILED_PRECONDITION when it shows nothing. */
export async function keepLoop({path}: Pick<LoopDevice, 'path'>): Promise<void> {
	const fd = openAs(path, constants.O_RDONLY);
	try {
		const info = await statusOf(fd, path);
		info.writeUInt32LE(info.readUInt32LE(FLAGS_AT) & ~LO_FLAGS.AUTOCLEAR, FLAGS_AT);
		await call(fd, LOOP_SET_STATUS64, info, `keep ${path}`);
	} finally {
		closeSync(fd);
	}
}

/** The device's `backing` now; undefined where it shows nothing, or is not there. */
export async function loopBacking(path: string): Promise<string | undefined> {
	let fd: number;
	try {
		fd = openAs(path, constants.O_RDONLY);
	} catch (error) {
		if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENXIO') {
			return undefined;
		}
		throw error;
	}
	try {
		return backingIn(await statusOf(fd, path));
	} catch (error) {
		if (errnoOf(error) === 'ENXIO') {
			return undefined;
		}
		throw error;
	} finally {
		closeSync(fd);
	}
}

/** Gives the device back, at once or when its last user closes it. One that shows something else by now is left alone. */
export async function detachLoop({path, backing}: Pick<LoopDevice, 'path' | 'backing'>): Promise<void> {
	if (await loopBacking(path) !== backing) {
		return;
	}
	const fd = openAs(path, constants.O_RDONLY);
	try {
		await call(fd, LOOP_CLR_FD, null, `detach ${path}`);
	} finally {
		closeSync(fd);
	}
}

async function attachFree(backing: number, flags: number, file: string): Promise<LoopDevice> {
	const control = openAs('/dev/loop-control', constants.O_RDWR);
	try {
		for (let attempt = 0; attempt < attemptsMax; attempt++) {
			const number = await call(control, LOOP_CTL_GET_FREE, null, 'find a free loop device');
			const path = `/dev/loop${number}`;
			const fd = openAs(path, constants.O_RDWR);
			try {
				await call(fd, LOOP_CONFIGURE, configurationOf(backing, flags, file), `attach ${file} to ${path}`);
				const device = {path, backing: backingIn(await statusOf(fd, path)), [Symbol.dispose]: once(() => closeSync(fd))};
				return device;
			} catch (error) {
				closeSync(fd);
				if (errnoOf(error) !== 'EBUSY') {
					throw error;
				}
			}
		}
	} finally {
		closeSync(control);
	}
	throw new KeelsonError('UNAVAILABLE', `attach ${file}: ${attemptsMax} free loop devices were taken by others first`);
}

// struct loop_config:  0 fd  4 block size  8 struct loop_info64 (232 bytes)  240 reserved
// struct loop_info64:  0 device  8 inode  16 rdevice  24 offset  32 size limit  40 number  52 flags  56 file name (64 bytes)
function configurationOf(fd: number, flags: number, file: string): Buffer {
	const configuration = Buffer.alloc(304);
	configuration.writeUInt32LE(fd, 0);
	configuration.writeUInt32LE(flags, 8 + FLAGS_AT);
	// For losetup(8) alone, which shows it where it cannot ask for more.
	configuration.write(file.slice(0, 63), 8 + 56, 63);
	return configuration;
}

async function statusOf(fd: number, path: string): Promise<Buffer> {
	const info = Buffer.alloc(232);
	await call(fd, LOOP_GET_STATUS64, info, `status of ${path}`);
	return info;
}

function backingIn(info: Buffer): string {
	return `${info.readBigUInt64LE(0)}:${info.readBigUInt64LE(8)}`;
}

function openAs(path: Name, flags: number): number {
	try {
		return openSync(path as string | Buffer, flags);
	} catch (error) {
		const errno = errnoOf(error);
		const code = errno === 'ENOENT' && String(path).startsWith('/dev/loop') ? 'FAILED_PRECONDITION' : errno === 'ENOENT' ? 'NOT_FOUND' : 'FAILED_PRECONDITION';
		throw new KeelsonError(code, `open ${String(path)}: ${errno ?? 'failed'}`, {cause: error});
	}
}

async function call(fd: number, request: number, argument: Buffer | null, what: string): Promise<number> {
	const {result, errno} = await inPool(functions().ioctl, [fd, request, argument]);
	if (result === -1) {
		throw systemError(errno, what);
	}
	return result;
}

function once(work: () => void): () => void {
	let isDone = false;
	return () => {
		if (!isDone) {
			isDone = true;
			work();
		}
	};
}

// From linux/loop.h.
const LO_FLAGS = {READ_ONLY: 1, AUTOCLEAR: 4, DIRECT_IO: 16} as const;
const FLAGS_AT = 52;
const LOOP_CLR_FD = 0x4c01;
const LOOP_SET_STATUS64 = 0x4c04;
const LOOP_GET_STATUS64 = 0x4c05;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CTL_GET_FREE = 0x4c82;

const functions = bindings(libc => ({
	ioctl: libc.func('ioctl', 'int', ['int', 'ulong', 'void *']),
}));
