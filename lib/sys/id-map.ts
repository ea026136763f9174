import {closeSync, openSync, read, writeFileSync, writeSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {AT, Descriptor, O_CLOEXEC} from './at.ts';
import {AT_FDCWD, bindings, cString, lastError} from './libc.ts';
import {createPipe} from './pipe.ts';
import {waitUntilGone} from './process.ts';
import {spawnProcess} from './spawn.ts';

/** How ids inside are ids outside: `inside:outside:count`, several joined by commas. */
export interface IdMaps {
	readonly uids: string;
	readonly gids: string;
}

const helperMs = 5000;

/**
 * A user namespace with these maps, which lasts as long as its descriptor; that is the caller's. unshare(1) makes it: a thread of ours may not
 * leave the namespace of the others. Rejects with INVALID_ARGUMENT for maps that the kernel does not take.
 */
export async function openUserNamespace({uids, gids}: IdMaps): Promise<Descriptor> {
	const [input, output] = [createPipe(), createPipe()];
	using toHelper = new Descriptor(input.writer);
	using fromHelper = new Descriptor(output.reader);
	const pid = startHelper(input.reader, output.writer);
	// Its end is the end of what is read below.
	const late = setTimeout(() => tryKill(pid), helperMs);
	try {
		// What it gives back says that it is in its namespace.
		writeSync(toHelper.fd, 'x');
		const bytesRead = await readByte(fromHelper.fd);
		if (bytesRead === 0) {
			throw new KeelsonError('INTERNAL', `unshare(1) made no user namespace for ${uids} and ${gids}`);
		}
		writeMap(pid, 'uid_map', uids);
		writeMap(pid, 'gid_map', gids);
		return new Descriptor(openSync(`/proc/${pid}/ns/user`, 'r'));
	} finally {
		clearTimeout(late);
		toHelper[Symbol.dispose]();
		await waitUntilGone(pid);
	}
}

/**
 * Mounts the directory `source` at `target` so that its files seem to belong to others, as the maps of a user namespace say (mount_setattr(2), Linux 5.12).
 * Rejects with INVALID_ARGUMENT where the file system cannot be mounted so, UNIMPLEMENTED where the kernel cannot.
 */
export function mountMapped(source: string, target: string, userNamespace: number): void {
	const c = functions();
	using tree = new Descriptor(checked(c.openTree(SYS.open_tree, AT_FDCWD, cString(source), OPEN_TREE_CLONE | O_CLOEXEC), `open the tree ${source}`));
	// struct mount_attr: what is set, what is cleared, propagation, the namespace.
	const attributes = Buffer.alloc(32);
	attributes.writeBigUInt64LE(MOUNT_ATTR_IDMAP, 0);
	attributes.writeBigUInt64LE(BigInt(userNamespace), 24);
	checked(c.setAttributes(SYS.mount_setattr, tree.fd, cString(''), AT.EMPTY_PATH, attributes, attributes.length), `map the owners of ${source}`);
	checked(c.move(SYS.move_mount, tree.fd, cString(''), AT_FDCWD, cString(target), MOVE_MOUNT_F_EMPTY_PATH), `mount ${source} at ${target} with mapped owners`);
}

// Both descriptors are the helper's alone after that.
function startHelper(input: number, output: number): number {
	try {
		return spawnProcess('/usr/bin/unshare', ['--user', '--', '/bin/cat'], {env: {}, fds: {0: input, 1: output}});
	} finally {
		closeSync(input);
		closeSync(output);
	}
}

async function readByte(fd: number): Promise<number> {
	return new Promise((resolve, reject) => {
		read(fd, Buffer.alloc(1), 0, 1, null, (error, count) => error === null ? resolve(count) : reject(error));
	});
}

function writeMap(pid: number, name: string, map: string): void {
	const lines = map.split(',').map(range => range.replaceAll(':', ' ')).join('\n');
	try {
		writeFileSync(`/proc/${pid}/${name}`, `${lines}\n`);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `the kernel does not take ${JSON.stringify(map.slice(0, 200))} for ${name}`, {cause: error});
	}
}

function tryKill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It has ended.
	}
}

function checked(result: number, what: string): number {
	if (result === -1) {
		throw lastError(what);
	}
	return result;
}

// From asm-generic/unistd.h; x64 and arm64 have the same numbers from 424 on.
const SYS = {open_tree: 428, move_mount: 429, mount_setattr: 442} as const;
const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x10_0000n;

const functions = bindings(libc => ({
	openTree: libc.func('syscall', 'long', ['long', 'long', 'const char *', 'ulong']),
	setAttributes: libc.func('syscall', 'long', ['long', 'long', 'const char *', 'ulong', 'void *', 'size_t']),
	move: libc.func('syscall', 'long', ['long', 'long', 'const char *', 'long', 'const char *', 'ulong']),
}));
