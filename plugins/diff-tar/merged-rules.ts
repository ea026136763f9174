import {closeSync, constants, readdirSync} from 'node:fs';
import {openAt} from '../../lib/sys/at.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {directoryFlags, type DirectoryHandles} from './directory-handles.ts';
import {toBytes} from './entry-path.ts';
import {removeTreeAt} from './remove-tree.ts';
import type {TreeRules} from './tree-rules.ts';

/**
 * The tree is the whole tree: what is removed is removed. What the archive itself made stays, wherever in it the whiteout stands.
 * Each directory is looked through once at most, however many marks name it: after that all in it is the archive's own.
 */
export class MergedRules implements TreeRules {
	readonly #handles: DirectoryHandles;
	/** Directories, by device and inode, in which all is of the archive. */
	readonly #own = new Set<string>();
	/** What the archive made in other directories. */
	readonly #made = new Set<string>();
	/** The tree was empty, so that nothing can ever be removed from it: whiteouts only imply directories. */
	readonly #isAllOwn: boolean;

	constructor(handles: DirectoryHandles) {
		this.#handles = handles;
		this.#isAllOwn = readdirSync(`/proc/self/fd/${handles.root}/.`).length === 0;
	}

	makeOpaque(_path: string, fd: number): void {
		if (!this.#isAllOwn) {
			this.#clear(fd);
		}
	}

	hide(directory: string, base: string): void {
		const fd = this.#handles.make(directory);
		const identity = this.#isAllOwn ? '' : identityOf(fd);
		if (this.#isAllOwn || this.#own.has(identity)) {
			return;
		}
		if (!this.#made.has(`${identity}/${base}`)) {
			this.#remove(fd, toBytes(base));
			return;
		}
		const inner = tryOpenDirectory(fd, toBytes(base));
		if (inner !== undefined) {
			try {
				this.#clear(inner);
			} finally {
				closeSync(inner);
			}
		}
	}

	made(directory: string, base: string, isDirectory: boolean): void {
		if (this.#isAllOwn) {
			return;
		}
		const fd = this.#handles.make(directory);
		const identity = identityOf(fd);
		const isOwn = this.#own.has(identity);
		if (!isOwn) {
			this.#made.add(`${identity}/${base}`);
		}
		if (isDirectory) {
			const inner = openAt(fd, toBytes(base), {flags: directoryFlags | constants.O_NOFOLLOW});
			this.#own.add(identityOf(inner));
			closeSync(inner);
		}
	}

	implied(path: string, fd: number): void {
		if (this.#isAllOwn) {
			return;
		}
		this.#own.add(identityOf(fd));
		const slash = path.lastIndexOf('/');
		const parent = this.#handles.find(slash === -1 ? '' : path.slice(0, slash));
		if (parent !== undefined) {
			this.#made.add(`${identityOf(parent)}/${path.slice(slash + 1)}`);
		}
	}

	bring(): boolean {
		return false;
	}

	#clear(fd: number): void {
		const identity = identityOf(fd);
		if (this.#own.has(identity)) {
			return;
		}
		for (const name of readdirSync(`/proc/self/fd/${fd}/.`, {encoding: 'buffer'})) {
			if (!this.#made.has(`${identity}/${name.toString('latin1')}`)) {
				this.#remove(fd, name);
				continue;
			}
			const inner = tryOpenDirectory(fd, name);
			if (inner !== undefined) {
				try {
					this.#clear(inner);
				} finally {
					closeSync(inner);
				}
			}
		}
		this.#own.add(identity);
	}

	#remove(fd: number, name: Buffer): void {
		if (removeTreeAt(fd, name)) {
			this.#handles.forget();
		}
	}
}

function identityOf(fd: number): string {
	const {device, ino} = statusAt(fd, '');
	return `${device.major}:${device.minor}:${ino}`;
}

function tryOpenDirectory(fd: number, name: Buffer): number | undefined {
	try {
		return openAt(fd, name, {flags: directoryFlags | constants.O_NOFOLLOW});
	} catch (error) {
		if (errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ELOOP' || errnoOf(error) === 'ENOENT') {
			return undefined;
		}
		throw error;
	}
}
