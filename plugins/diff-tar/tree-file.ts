import {constants, readdirSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {Descriptor, O_PATH, openAt, readLinkAt} from '../../lib/sys/at.ts';
import {getAttribute, listAttributes} from '../../lib/sys/extended-attributes.ts';
import {statusAt, type FileStatus} from '../../lib/sys/file-status.ts';
import type {TarAttribute} from '../../lib/tar/tar-entry.ts';
import type {WrittenEntry} from '../../lib/tar/tar-writer.ts';
import {directoryFlags} from './directory-handles.ts';

/** A file of a tree that is being looked at: a name in an open directory, with what it was when it was found. */
export interface TreeFile {
	/** From the root; Latin 1 stands for bytes. */
	readonly path: string;
	readonly directory: number;
	readonly name: Buffer;
	readonly status: FileStatus;
}

/** What a directory holds, in the order of its bytes. */
export function listFiles(directory: number, path: string): readonly TreeFile[] {
	return readdirSync(`/proc/self/fd/${directory}/.`, {encoding: 'buffer'}).toSorted(Buffer.compare).map(name => ({
		path: path === '' ? name.toString('latin1') : `${path}/${name.toString('latin1')}`,
		directory,
		name,
		status: statusAt(directory, name),
	}));
}

export function typeOf({status}: TreeFile): WrittenEntry['type'] | 'socket' {
	return types.get(status.mode & constants.S_IFMT) ?? 'socket';
}

export function isDirectory(file: TreeFile): boolean {
	return typeOf(file) === 'directory';
}

/** A character device 0:0, as overlayfs marks what is removed. */
export function isWhiteout(file: TreeFile): boolean {
	return typeOf(file) === 'character' && file.status.rdev.major === 0 && file.status.rdev.minor === 0;
}

export function openDirectory({directory, name}: TreeFile): Descriptor {
	return new Descriptor(openAt(directory, name, {flags: directoryFlags | constants.O_NOFOLLOW}));
}

/** Throws ABORTED where something else has its name by now: in a tree that is in use. */
export function openFile({directory, name, path}: TreeFile): Descriptor {
	// A FIFO that took its place must not hold us up.
	const file = new Descriptor(openAt(directory, name, {flags: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY}));
	if ((statusAt(file.fd, '').mode & constants.S_IFMT) !== constants.S_IFREG) {
		file[Symbol.dispose]();
		throw new KeelsonError('ABORTED', `${JSON.stringify(Buffer.from(path, 'latin1').toString('utf8', 0, 400))} was replaced by what is no file while it was read`);
	}
	return file;
}

export function linkTarget({directory, name}: TreeFile): Buffer {
	return readLinkAt(directory, name);
}

/** The attributes that belong to a layer, by name: not those of overlayfs, nor labels that a security module of this host gives. */
export function attributesOf({directory, name, status}: TreeFile): readonly TarAttribute[] {
	const isLink = (status.mode & constants.S_IFMT) === constants.S_IFLNK;
	using file = isLink ? undefined : new Descriptor(openAt(directory, name, {flags: O_PATH | constants.O_NOFOLLOW}));
	const target = file?.fd ?? {directory, name};
	return listAttributes(target).filter(attribute => isOfLayer(attribute.toString('latin1'))).toSorted(Buffer.compare).flatMap(attribute => {
		const value = getAttribute(target, attribute);
		return value === undefined ? [] : [{name: attribute, value}];
	});
}

function isOfLayer(name: string): boolean {
	return !/^(?:trusted\.overlay\.|user\.overlay\.|security\.(?:selinux|ima|evm|apparmor|SMACK64)|system\.nfs4)/.test(name);
}

const types: ReadonlyMap<number, WrittenEntry['type']> = new Map([
	[constants.S_IFREG, 'file'], [constants.S_IFDIR, 'directory'], [constants.S_IFLNK, 'symlink'],
	[constants.S_IFCHR, 'character'], [constants.S_IFBLK, 'block'], [constants.S_IFIFO, 'fifo'],
]);
