import {closeSync, constants, readSync, writeSync} from 'node:fs';
import {AT_FDCWD, errnoOf} from '../../lib/sys/libc.ts';
import {changeOwnerAt, changeTimesAt, Descriptor, makeNodeAt, makeSymlinkAt, O_PATH, openAt, readLinkAt, RESOLVE} from '../../lib/sys/at.ts';
import {getAttribute} from '../../lib/sys/extended-attributes.ts';
import {statusAt, type FileStatus} from '../../lib/sys/file-status.ts';
import {copyDescription} from './attributes.ts';
import {directoryFlags} from './directory-handles.ts';
import {splitPath, toBytes} from './entry-path.ts';

/** What an upper directory takes from the layers below it. */
export interface LayersBelow {
	/**
	 * Gives an upper directory the attributes that the merged lower one has.
	 * @returns its time of change, for the end; undefined when there is none below
	 */
	copyDirectory(path: string, to: number): bigint | undefined;
	/** Copies a file (not a directory) that the merged lower tree has to the same name above. @returns false when it has none */
	copyUp(path: string, to: {readonly directory: number; readonly name: Buffer}): boolean;
	/** The archive says itself what the thing with this inode is like. */
	described?(inode: () => bigint): void;
}

/** The layers below an upper directory, the nearest first, looked at as overlayfs merges them. Links within a layer are followed, as containerd does. */
export class LowerLayers implements LayersBelow, Disposable {
	readonly #paths: readonly string[];
	readonly #opaque: string;
	readonly #open = new Map<string, number>();

	/** @param opaque the attribute that says that a directory hides those below it */
	constructor(paths: readonly string[], opaque: string) {
		this.#paths = paths;
		this.#opaque = opaque;
	}

	[Symbol.dispose](): void {
		for (const fd of this.#open.values()) {
			closeSync(fd);
		}
		this.#open.clear();
	}

	copyDirectory(path: string, to: number): bigint | undefined {
		const directory = this.find(path);
		if (directory === undefined) {
			return undefined;
		}
		using _ = directory;
		const status = statusAt(directory.fd, '');
		copyDescription(directory.fd, status, to);
		return status.mtimeNs;
	}

	/** The nearest layer's directory of this path; undefined when the merged tree has none. */
	find(path: string): Descriptor | undefined {
		for (const layer of this.#layers()) {
			const found = this.#lookup(layer, path);
			if (found === 'replaced') {
				return undefined;
			}
			if (found !== undefined) {
				return found;
			}
		}
		return undefined;
	}

	copyUp(path: string, to: {readonly directory: number; readonly name: Buffer}): boolean {
		const {parent, base} = splitPath(path);
		const name = toBytes(base);
		for (const layer of this.#layers()) {
			const found = parent === '' ? new Descriptor(openAt(layer, '.', {flags: directoryFlags})) : this.#lookup(layer, parent);
			if (found === 'replaced') {
				return false;
			}
			if (found === undefined) {
				continue;
			}
			using directory = found;
			const status = tryStatus(directory.fd, name);
			if (status !== undefined) {
				return copyFile({directory: directory.fd, name, status}, to);
			}
			if (getAttribute(directory.fd, this.#opaque)?.toString() === 'y') {
				return false;
			}
		}
		return false;
	}

	* #layers(): Iterable<number> {
		for (const path of this.#paths) {
			const fd = this.#open.get(path) ?? openAt(AT_FDCWD, path, {flags: directoryFlags});
			this.#open.set(path, fd);
			yield fd;
		}
	}

	#lookup(layer: number, path: string): Descriptor | 'replaced' | undefined {
		try {
			return new Descriptor(openAt(layer, toBytes(path), {flags: directoryFlags, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS}));
		} catch (error) {
			const errno = errnoOf(error);
			if (errno === 'ENOENT') {
				return this.#isHidden(layer, path) ? 'replaced' : undefined;
			}
			// A file, or a whiteout, which is a device.
			if (errno === 'ENOTDIR' || errno === 'ELOOP') {
				return 'replaced';
			}
			throw error;
		}
	}

	// A directory on the way that is opaque hides what the layers further down have by this path.
	#isHidden(layer: number, path: string): boolean {
		for (let at = splitPath(path).parent; at !== ''; at = splitPath(at).parent) {
			const found = this.#lookup(layer, at);
			if (found === 'replaced') {
				return true;
			}
			if (found !== undefined) {
				using directory = found;
				return getAttribute(directory.fd, this.#opaque)?.toString() === 'y';
			}
		}
		return false;
	}
}

interface LowerFile {
	readonly directory: number;
	readonly name: Buffer;
	readonly status: FileStatus;
}

function copyFile({directory, name, status}: LowerFile, to: {readonly directory: number; readonly name: Buffer}): boolean {
	const type = status.mode & constants.S_IFMT;
	if (type === constants.S_IFDIR || (type === constants.S_IFCHR && status.rdev.major === 0 && status.rdev.minor === 0)) {
		return false;
	}
	if (type === constants.S_IFREG) {
		using from = new Descriptor(openAt(directory, name, {flags: constants.O_RDONLY | constants.O_NOFOLLOW}));
		using copy = new Descriptor(openAt(to.directory, to.name, {flags: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode: 0o600}));
		copyBytes(from.fd, copy.fd);
		copyDescription(from.fd, status, copy.fd);
	} else if (type === constants.S_IFLNK) {
		makeSymlinkAt(readLinkAt(directory, name), to.directory, to.name);
		changeOwnerAt(to.directory, to.name, status.uid, status.gid);
	} else {
		makeNodeAt(to.directory, to.name, status.mode, status.rdev);
		using from = new Descriptor(openAt(directory, name, {flags: O_PATH | constants.O_NOFOLLOW}));
		changeOwnerAt(to.directory, to.name, statusAt(from.fd, '').uid, status.gid);
	}
	changeTimesAt(to.directory, to.name, status);
	return true;
}

function copyBytes(from: number, to: number): void {
	const buffer = Buffer.allocUnsafe(1024 * 1024);
	for (let length = readSync(from, buffer); length > 0; length = readSync(from, buffer)) {
		for (let at = 0; at < length;) {
			at += writeSync(to, buffer, at, length - at);
		}
	}
}

function tryStatus(directory: number, name: Buffer): FileStatus | undefined {
	try {
		return statusAt(directory, name);
	} catch (error) {
		if (errnoOf(error) === 'ENOENT') {
			return undefined;
		}
		throw error;
	}
}

