import {constants, readlinkSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {Descriptor, O_PATH, openAt, RESOLVE} from '../../lib/sys/at.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {AT_FDCWD, errnoOf} from '../../lib/sys/libc.ts';
import {directoryFlags} from './directory-handles.ts';
import {clampPath, show, toBytes} from './entry-path.ts';

const withinRoot = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;

/** What a path of a tree means: a name in an open directory. */
export interface FoundPlace extends Disposable {
	readonly directory: number;
	/** `.` for the directory itself. */
	readonly name: Buffer;
	/** What it is called in an archive; Latin 1 stands for bytes. */
	readonly label: string;
}

/** Where reading begins. Throws NOT_FOUND, INVALID_ARGUMENT. */
export function findPlace(root: string, path: string): FoundPlace {
	const bytes = bytesOf(path);
	const parts = bytes.split('/').filter(part => part !== '');
	const last = parts.at(-1) ?? '.';
	const isNamed = last !== '.' && last !== '..';
	// What has a slash behind it is a directory, whichever links lead to it.
	const isDirectory = !isNamed || bytes.endsWith('/');
	const directory = openWithin(root, isDirectory ? bytes : parts.slice(0, -1).join('/'), {flags: O_PATH | constants.O_DIRECTORY, path});
	const name = Buffer.from(isDirectory ? '.' : last, 'latin1');
	try {
		statusAt(directory.fd, name);
	} catch (error) {
		directory[Symbol.dispose]();
		throw toPlaceError(error, path);
	}
	return {directory: directory.fd, name, label: isNamed ? last : '.', [Symbol.dispose]: () => directory[Symbol.dispose]()};
}

/** The directory at a path, as a path below the root that has no links in it. Throws NOT_FOUND, INVALID_ARGUMENT. */
export function findDirectory(root: string, path: string): string {
	using base = new Descriptor(openAt(AT_FDCWD, root, {flags: directoryFlags}));
	using found = openWithin(root, bytesOf(path), {flags: directoryFlags, path});
	return pathBelow(base.fd, found.fd);
}

/** Of two open directories. That of another mount namespace has its root at `/`. */
export function pathBelow(root: number, inner: number): string {
	const [above, below] = [root, inner].map(fd => readlinkSync(`/proc/self/fd/${fd}`, 'buffer').toString('latin1'));
	return clampPath((below ?? '').slice(above === '/' ? 0 : above?.length));
}

function openWithin(root: string, within: string, {flags, path}: {readonly flags: number; readonly path: string}): Descriptor {
	using base = new Descriptor(openAt(AT_FDCWD, root, {flags: directoryFlags}));
	try {
		return new Descriptor(openAt(base.fd, within === '' ? '.' : toBytes(within), {flags, resolve: withinRoot}));
	} catch (error) {
		throw toPlaceError(error, path);
	}
}

function bytesOf(path: string): string {
	return Buffer.from(path, 'utf8').toString('latin1');
}

function toPlaceError(error: unknown, path: string): unknown {
	const errno = errnoOf(error);
	const shown = show(bytesOf(path));
	if (errno === 'ENOENT') {
		return new KeelsonError('NOT_FOUND', `path ${shown}: not found`, {cause: error});
	}
	if (errno === 'ENOTDIR' || errno === 'ELOOP' || errno === 'ENAMETOOLONG') {
		return new KeelsonError('INVALID_ARGUMENT', `path ${shown} leads through what is no directory`, {cause: error});
	}
	return error;
}
