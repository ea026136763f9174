import {execFile} from 'node:child_process';
import {constants, fstatSync, fsync, ftruncateSync} from 'node:fs';
import {promisify} from 'node:util';
import type {Mount} from '../../contracts/oci/mount.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import type {KeyedLock} from '../../lib/lock/keyed-lock.ts';
import {Descriptor, O_PATH, openAt, RENAME, renameAt, unlinkAt} from '../../lib/sys/at.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {parseByteSize} from './byte-size.ts';
import {confine, openParent} from './confined-path.ts';

const prefix = 'X-containerd.mkfs.';
/** A whole disk's worth of inode tables takes seconds; what takes longer hangs. */
const programMs = 120_000;

interface FileSystemRequest {
	readonly type: string;
	readonly bytes: number;
	readonly uuid: string | undefined;
}

export interface MkfsLimits {
	readonly roots: readonly string[];
	readonly bytesMax: number;
	/** By path: a file is made once. */
	readonly locks: KeyedLock;
}

/** Makes the file that a mount's source names, below `roots`, with a file system in it, unless there is one; takes the options for it away. */
export async function makeFileSystem(mount: Mount, {roots, bytesMax, locks}: MkfsLimits, signal: AbortSignal): Promise<Mount> {
	const request = parseFileSystem(mount.options, bytesMax);
	const confined = confine(mount.source, roots, 'file');
	using _lock = await locks.hold(mount.source);
	const {parent, name} = openParent(confined);
	using _parent = parent;
	if (!isFileThere(parent, name, mount.source)) {
		await makeFile(parent, name, request, signal);
	}
	return {...mount, options: mount.options.filter(option => !option.startsWith(prefix))};
}

/** Pure. Throws INVALID_ARGUMENT, RESOURCE_EXHAUSTED for more bytes than `bytesMax`. */
export function parseFileSystem(options: readonly string[], bytesMax: number): FileSystemRequest {
	const given = new Map<string, string>();
	for (const option of options.filter(one => one.startsWith(prefix))) {
		const [key = '', value = ''] = option.slice(prefix.length).split(/=(.*)/s);
		if (!['size', 'fs', 'uuid'].includes(key)) {
			throw new KeelsonError('INVALID_ARGUMENT', `option ${JSON.stringify(option)}: expected ${prefix} with size, fs or uuid`);
		}
		given.set(key, value);
	}
	const type = given.get('fs') ?? 'ext4';
	const uuid = given.get('uuid');
	const bytes = parseByteSize(given.get('size') ?? '0');
	if (!['ext2', 'ext3', 'ext4', 'xfs'].includes(type)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${prefix}fs=${type}: expected ext2, ext3, ext4 or xfs`);
	}
	if (bytes === 0) {
		throw new KeelsonError('INVALID_ARGUMENT', `the transformer mkfs needs the option ${prefix}size`);
	}
	if (bytes > bytesMax) {
		throw new KeelsonError('RESOURCE_EXHAUSTED', `${prefix}size is ${bytes} bytes, at most ${bytesMax} are allowed`);
	}
	if (uuid !== undefined && !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${prefix}uuid=${uuid} is no UUID`);
	}
	return {type, bytes, uuid};
}

function isFileThere(parent: Descriptor, name: string, path: string): boolean {
	try {
		using there = new Descriptor(openAt(parent.fd, name, {flags: O_PATH | constants.O_NOFOLLOW}));
		if (!fstatSync(there.fd).isFile()) {
			throw new KeelsonError('FAILED_PRECONDITION', `${path} is there and is no file`);
		}
		return true;
	} catch (error) {
		if (isKeelsonError(error, 'NOT_FOUND')) {
			return false;
		}
		throw error;
	}
}

// Under another name until it is whole: what is there by its own name is taken for finished, also after a kill.
async function makeFile(parent: Descriptor, name: string, {type, bytes, uuid}: FileSystemRequest, signal: AbortSignal): Promise<void> {
	const unfinished = `.${name}.mkfs`;
	removeIfThere(parent, unfinished);
	using file = new Descriptor(openAt(parent.fd, unfinished, {flags: constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW, mode: 0o600}));
	try {
		// Sparse: what is not written takes no room.
		ftruncateSync(file.fd, bytes);
		const words = uuid === undefined ? [] : type === 'xfs' ? ['-m', `uuid=${uuid}`] : ['-U', uuid];
		await runProgram(`mkfs.${type}`, ['-q', ...words, `/proc/${process.pid}/fd/${file.fd}`], signal);
		await promisify(fsync)(file.fd);
		renameAt(parent.fd, unfinished, parent.fd, name, RENAME.NOREPLACE);
	} catch (error) {
		removeIfThere(parent, unfinished);
		throw error;
	}
}

async function runProgram(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
	try {
		await promisify(execFile)(program, [...args], {
			signal, timeout: programMs, killSignal: 'SIGKILL', maxBuffer: 65_536, env: {PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C'},
		});
	} catch (error) {
		signal.throwIfAborted();
		if (errnoOf(error) === 'ENOENT') {
			throw new KeelsonError('FAILED_PRECONDITION', `there is no ${program} on this machine`, {cause: error});
		}
		const {stderr = ''} = error as {readonly stderr?: string};
		throw new KeelsonError('INVALID_ARGUMENT', `${program} failed: ${stderr.trim().slice(0, 500) || String(error)}`, {cause: error});
	}
}

function removeIfThere(parent: Descriptor, name: string): void {
	try {
		unlinkAt(parent.fd, name);
	} catch (error) {
		if (!isKeelsonError(error, 'NOT_FOUND')) {
			throw error;
		}
	}
}
