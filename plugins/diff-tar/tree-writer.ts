import {closeSync, constants, ftruncateSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {makeDirectoryAt, makeLinkAt, makeNodeAt, makeSymlinkAt, openAt} from '../../lib/sys/at.ts';
import {closeFile, writeAt} from '../../lib/sys/file-bytes.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import type {TarEntry, TarSink} from '../../lib/tar/tar-entry.ts';
import {describeLink, describeNamed, describeOpen, setTimes, setTimesOpen} from './attributes.ts';
import {directoryFlags, type DirectoryHandles} from './directory-handles.ts';
import {entryPath, joinPath, show, splitPath, toBytes} from './entry-path.ts';
import {NewFiles} from './new-files.ts';
import {removeTreeAt} from './remove-tree.ts';
import type {TreeRules} from './tree-rules.ts';
import {whiteoutOf} from './whiteout.ts';

interface DirectoryTimes {
	readonly mtimeNs: bigint;
	readonly atimeNs?: bigint | undefined;
}

interface OpenFile {
	readonly fd: number;
	readonly entry: TarEntry;
	readonly hasMode: boolean;
}

export interface TreeWriterOptions {
	readonly handles: DirectoryHandles;
	readonly rules: TreeRules;
	/** Device nodes cannot be made below a user namespace, and are left out. */
	readonly isInUserNamespace: boolean;
	/** The archive is no layer: a name is a name, whatever it begins with, and no directory gives way to anything else, or the other way round. */
	readonly isCopy?: boolean;
}

/** Makes of an archive's entries files in a tree. `finish` must be called in the end, and disposing closes a file that is half written. */
export class TreeWriter implements TarSink, Disposable {
	readonly #options: TreeWriterOptions;
	/** Set last: what is made in a directory changes its time. */
	readonly #times = new Map<string, DirectoryTimes>();
	readonly #new: NewFiles;
	#file: OpenFile | undefined;

	constructor(options: TreeWriterOptions) {
		this.#options = options;
		this.#new = new NewFiles(options.handles.root);
		if (options.isCopy === true) {
			// Directories that it implies belong to whoever owns the tree.
			this.#new.distrust();
		}
	}

	[Symbol.dispose](): void {
		if (this.#file !== undefined) {
			closeSync(this.#file.fd);
			this.#file = undefined;
		}
	}

	entry(entry: TarEntry): void {
		const {rules, handles, isInUserNamespace} = this.#options;
		const {parent, base} = entryPath(entry.name, 'tar entry');
		// The root is the snapshotter's, not the archive's; containerd passes over it too.
		if (base === '' || (isInUserNamespace && (entry.type === 'character' || entry.type === 'block'))) {
			return;
		}
		const whiteout = this.#options.isCopy === true ? undefined : whiteoutOf(base);
		if (whiteout?.kind === 'opaque') {
			rules.makeOpaque(parent, handles.make(parent));
		} else if (whiteout !== undefined) {
			rules.hide(parent, whiteout.base);
		} else {
			this.#make(entry, parent, base);
		}
	}

	data(bytes: Buffer, offset: number): void {
		if (this.#file === undefined) {
			return;
		}
		writeAt(this.#file.fd, bytes, offset);
	}

	entryEnd(): void {
		const file = this.#file;
		if (file === undefined) {
			return;
		}
		if (file.entry.extents !== undefined) {
			ftruncateSync(file.fd, file.entry.size);
		}
		describeOpen(file.fd, file.entry, {hasOwner: this.#new.haveOwner(file.entry), hasMode: file.hasMode});
		// Last of all: writing changes it.
		setTimesOpen(file.fd, file.entry);
		this.#file = undefined;
		closeFile(file.fd);
	}

	/** Must be called when a directory with attributes that the archive does not tell has come into the tree. */
	distrustNewFiles(): void {
		this.#new.distrust();
	}

	keepTime(path: string, mtimeNs: bigint): void {
		this.#times.set(path, {mtimeNs});
	}

	/** Sets the times of directories. */
	finish(): void {
		for (const [path, times] of this.#times) {
			const {parent, base} = splitPath(path);
			try {
				const above = this.#options.handles.find(parent);
				if (above !== undefined) {
					setTimes(above, toBytes(base), times);
				}
			} catch (error) {
				// The archive took it away again, or what is above it, by another of its names.
				if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) {
					throw error;
				}
			}
		}
	}

	#make(entry: TarEntry, parent: string, base: string): void {
		const name = toBytes(base);
		switch (entry.type) {
			case 'directory': {
				this.#makeDirectory(entry, parent, name);
				return;
			}
			case 'file': {
				this.#file = this.#replacing(parent, name, directory => {
					// Not before: making the directory may have brought one that passes on what it has.
					const mode = this.#new.modeOf(entry);
					return {fd: openAt(directory, name, {flags: fileFlags, mode: mode ?? 0o600}), entry, hasMode: mode !== undefined};
				});
				break;
			}
			case 'symlink': {
				this.#replacing(parent, name, directory => makeSymlinkAt(entry.linkName, directory, name));
				break;
			}
			case 'link': {
				this.#link(entry, parent, name);
				break;
			}
			case 'character':
			case 'block':
			case 'fifo': {
				this.#replacing(parent, name, directory => makeNodeAt(directory, name, nodeTypes[entry.type as keyof typeof nodeTypes], entry.device));
				break;
			}
			case 'unknown': {
				throw new KeelsonError('INVALID_ARGUMENT', `tar entry ${show(joinPath(parent, base))} has the unknown type ${JSON.stringify(entry.typeflag)}`);
			}
		}
		if (entry.type === 'symlink' && entry.attributes.length === 0) {
			describeLink(this.#options.handles.make(parent), name, entry, {hasOwner: this.#new.haveOwner(entry)});
		} else if (entry.type !== 'file') {
			describeNamed(this.#options.handles.make(parent), name, entry);
		}
		this.#options.rules.made(parent, base, false);
	}

	#makeDirectory(entry: TarEntry, parent: string, name: Buffer): void {
		const {handles, rules} = this.#options;
		this.#new.directory(entry);
		const base = name.toString('latin1');
		const path = joinPath(parent, base);
		const isNew = this.#replacing(parent, name, directory => {
			try {
				makeDirectoryAt(directory, name, 0o700);
				return true;
			} catch (error) {
				if (errnoOf(error) === 'EEXIST' && (statusAt(directory, name).mode & constants.S_IFMT) === constants.S_IFDIR) {
					return false;
				}
				throw error;
			}
		}, true);
		const fd = openAt(handles.make(parent), name, {flags: directoryFlags | constants.O_NOFOLLOW});
		handles.adopt(path, fd);
		describeOpen(fd, entry);
		this.#times.delete(path);
		this.#times.set(path, entry);
		rules.made(parent, base, isNew);
	}

	#link(entry: TarEntry, parent: string, name: Buffer): void {
		const {handles} = this.#options;
		const target = entryPath(entry.linkName, 'hard link target');
		const targetName = toBytes(target.base);
		const path = joinPath(parent, name.toString('latin1'));
		const make = (): void => this.#replacing(parent, name, directory => {
			// In this order: opening may not close the descriptor that was opened before.
			const from = handles.find(target.parent);
			const to = handles.find(parent) ?? directory;
			if (from === undefined || target.base === '') {
				throw this.#noTarget(entry);
			}
			try {
				makeLinkAt(from, targetName, to, name);
			} catch (error) {
				if (errnoOf(error) === 'EEXIST' && isSameFile(from, targetName, to, name)) {
					return;
				}
				throw error;
			}
		});
		try {
			make();
		} catch (error) {
			const isMissing = errnoOf(error) === 'ENOENT' || (error instanceof KeelsonError && error.code === 'NOT_FOUND');
			if (!isMissing || target.base === '' || !this.#options.rules.bring(joinPath(target.parent, target.base))) {
				throw isMissing ? this.#noTarget(entry) : error;
			}
			make();
		}
		this.#times.delete(path);
	}

	#noTarget({name, linkName}: TarEntry): KeelsonError {
		return new KeelsonError('NOT_FOUND', `hard link ${show(name.toString('latin1'))} is to ${show(linkName.toString('latin1'))}, which is not there`);
	}

	/** Makes a name; what has it before gives way. */
	#replacing<T>(parent: string, name: Buffer, make: (directory: number) => T, isDirectory = false): T {
		const {handles} = this.#options;
		const directory = handles.make(parent);
		try {
			return make(directory);
		} catch (error) {
			if (errnoOf(error) !== 'EEXIST') {
				throw error;
			}
		}
		if (this.#options.isCopy === true && (isDirectory || (statusAt(directory, name).mode & constants.S_IFMT) === constants.S_IFDIR)) {
			const path = show(joinPath(parent, name.toString('latin1')));
			throw new KeelsonError('FAILED_PRECONDITION', isDirectory ? `${path} is no directory, and is not replaced by one` : `${path} is a directory, and is not replaced by what is none`);
		}
		if (removeTreeAt(directory, name)) {
			handles.forget();
			this.#forgetTimes(joinPath(parent, name.toString('latin1')));
		}
		return make(handles.make(parent));
	}

	/** What was there is gone, with all that was in it: what comes in its place has other times. */
	#forgetTimes(path: string): void {
		for (const known of this.#times.keys()) {
			if (known === path || known.startsWith(`${path}/`)) {
				this.#times.delete(known);
			}
		}
	}
}

function isSameFile(a: number, nameOfA: Buffer, b: number, nameOfB: Buffer): boolean {
	const one = statusAt(a, nameOfA);
	const other = statusAt(b, nameOfB);
	return one.ino === other.ino && one.device.major === other.device.major && one.device.minor === other.device.minor;
}

const fileFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const nodeTypes = {character: constants.S_IFCHR, block: constants.S_IFBLK, fifo: constants.S_IFIFO} as const;
