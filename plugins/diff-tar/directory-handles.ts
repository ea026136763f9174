import {closeSync, constants, readlinkSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {changeMode, makeDirectoryAt, openAt, readLinkAt, RESOLVE} from '../../lib/sys/at.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {clampPath, joinPath, show, splitPath, toBytes} from './entry-path.ts';

/** So many directories are kept open. */
const handlesMax = 128;
/** The kernel's own limit for links on a path. */
const linksMax = 40;

/** Called with a directory that an archive implies but does not have, fresh and 0755, and its path with no links on it. */
export type OnImplied = (path: string, fd: number) => void;

/**
 * The directories of one tree, as descriptors: whatever links an archive makes on a path, each is resolved by the kernel within the
 * root. A descriptor stays good until something is removed, of which `forget` must be told.
 */
export class DirectoryHandles implements Disposable {
	readonly root: number;
	readonly #rootPath: string;
	readonly #open = new Map<string, number>();
	readonly #onImplied: OnImplied;
	#newest: string | undefined;

	/** Rejects with NOT_FOUND, FAILED_PRECONDITION where `root` is no directory. */
	constructor(root: string, onImplied: OnImplied) {
		this.root = openAt(-100, root, {flags: directoryFlags});
		this.#rootPath = readlinkSync(`/proc/self/fd/${this.root}`);
		this.#onImplied = onImplied;
	}

	[Symbol.dispose](): void {
		this.forget();
		closeSync(this.root);
	}

	/** A directory's descriptor, good until the next call that opens one. Missing directories on the way are made. Rejects with INVALID_ARGUMENT where something else is in the way. */
	make(path: string): number {
		return this.#get(path, 0);
	}

	/** Like make; undefined where it is not there. */
	find(path: string): number | undefined {
		if (path === '') {
			return this.root;
		}
		const known = this.#open.get(path);
		if (known !== undefined) {
			return this.#refresh(path, known);
		}
		const fd = this.#tryOpen(path);
		return fd === undefined ? undefined : this.#keep(path, fd);
	}

	/** Takes over a descriptor that was just made for `path`. */
	adopt(path: string, fd: number): void {
		const before = this.#open.get(path);
		if (before !== undefined) {
			this.#open.delete(path);
			closeSync(before);
		}
		this.#keep(path, fd);
	}

	/** Must be called when a directory or a symbolic link has been removed: paths may lead elsewhere now. */
	forget(): void {
		for (const fd of this.#open.values()) {
			closeSync(fd);
		}
		this.#open.clear();
	}

	#get(path: string, links: number): number {
		const found = this.find(path);
		if (found !== undefined) {
			return found;
		}
		const {parent, base} = splitPath(path);
		const above = this.#get(parent, links);
		try {
			makeDirectoryAt(above, toBytes(base), 0o755);
		} catch (error) {
			if (errnoOf(error) !== 'EEXIST') {
				throw error;
			}
			return this.#get(this.#followDangling({path, above, base}, links), links + 1);
		}
		const fd = openAt(above, toBytes(base), {flags: directoryFlags | constants.O_NOFOLLOW});
		this.#keep(path, fd);
		// The process's umask may have narrowed it.
		changeMode(fd, 0o755);
		this.#onImplied(joinPath(this.#placeOf(above), base), fd);
		return fd;
	}

	// A link whose target is not there yet: the target is made, within the root, as if the path had named it.
	#followDangling({path, above, base}: {readonly path: string; readonly above: number; readonly base: string}, links: number): string {
		const name = toBytes(base);
		if (links >= linksMax || (statusAt(above, name).mode & constants.S_IFMT) !== constants.S_IFLNK) {
			throw new KeelsonError('INVALID_ARGUMENT', `${show(path)} is not a directory, and cannot hold an entry`);
		}
		const target = readLinkAt(above, name).toString('latin1');
		return clampPath(joinPath(target.startsWith('/') ? '' : this.#placeOf(above), target));
	}

	// The path below the root that has no links in it.
	#placeOf(fd: number): string {
		const place = readlinkSync(`/proc/self/fd/${fd}`, 'buffer').toString('latin1');
		// The root of another mount namespace is `/` itself.
		return place.slice(this.#rootPath === '/' ? 1 : toLatin1(this.#rootPath).length + 1);
	}

	#tryOpen(path: string): number | undefined {
		try {
			return openAt(this.root, toBytes(path), {flags: directoryFlags, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS});
		} catch (error) {
			const errno = errnoOf(error);
			if (errno === 'ENOENT') {
				return undefined;
			}
			if (errno === 'ENOTDIR' || errno === 'ELOOP' || errno === 'ENAMETOOLONG') {
				throw new KeelsonError('INVALID_ARGUMENT', `${show(path)} is not a directory, and cannot hold an entry`, {cause: error});
			}
			throw error;
		}
	}

	#keep(path: string, fd: number): number {
		this.#open.set(path, fd);
		this.#newest = path;
		for (const [oldest, old] of this.#open) {
			if (this.#open.size <= handlesMax) {
				break;
			}
			this.#open.delete(oldest);
			closeSync(old);
		}
		return fd;
	}

	#refresh(path: string, fd: number): number {
		// Archives go through a directory entry by entry: most often it is the last already.
		if (path !== this.#newest) {
			this.#open.delete(path);
			this.#open.set(path, fd);
			this.#newest = path;
		}
		return fd;
	}
}

function toLatin1(path: string): string {
	return Buffer.from(path).toString('latin1');
}

export const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY;
