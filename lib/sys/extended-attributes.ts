import {constants} from 'node:os';
import {bindings, cString, errnoOf, isLastErrno, lastError, show, type Name} from './libc.ts';

/** A file: a path, which is not followed when it ends in a symbolic link; a descriptor; or a name in an open directory. */
export type AttributeTarget = Name | number | {readonly directory: number; readonly name: Name};

/** Rejects with UNIMPLEMENTED where the file system has none of that kind. */
export function setAttribute(target: AttributeTarget, attribute: Name, value: Uint8Array, flags = 0): void {
	const {setxattr, lsetxattr, fsetxattr} = functions();
	const what = cString(attribute);
	if (call(target, path => lsetxattr(path, what, value, value.length, flags), path => setxattr(path, what, value, value.length, flags),
		fd => fsetxattr(fd, what, value, value.length, flags)) === -1) {
		throw lastError(`set ${show(attribute)} of ${describe(target)}`);
	}
}

/** @returns undefined when the file has no such attribute */
export function getAttribute(target: AttributeTarget, attribute: Name): Buffer | undefined {
	const {getxattr, lgetxattr, fgetxattr} = functions();
	const what = cString(attribute);
	try {
		return grow(`get ${show(attribute)} of ${describe(target)}`, (value, size) => call(target,
			path => lgetxattr(path, what, value, size),
			path => getxattr(path, what, value, size),
			fd => fgetxattr(fd, what, value, size)));
	} catch (error) {
		if (errnoOf(error) === 'ENODATA') {
			return undefined;
		}
		throw error;
	}
}

/** The names of all attributes that this process may see, in the order of the file system. */
export function listAttributes(target: AttributeTarget): readonly Buffer[] {
	const {listxattr, llistxattr, flistxattr} = functions();
	const bytes = grow(`list attributes of ${describe(target)}`, (list, size) => call(target,
		path => llistxattr(path, list, size),
		path => listxattr(path, list, size),
		fd => flistxattr(fd, list, size)));
	const names: Buffer[] = [];
	for (let start = 0; start < bytes.length;) {
		const end = bytes.indexOf(0, start);
		names.push(bytes.subarray(start, end));
		start = end + 1;
	}
	return names;
}

/** Rejects with NOT_FOUND when the file has no such attribute. */
export function removeAttribute(target: AttributeTarget, attribute: Name): void {
	const {removexattr, lremovexattr, fremovexattr} = functions();
	const what = cString(attribute);
	if (call(target, path => lremovexattr(path, what), path => removexattr(path, what), fd => fremovexattr(fd, what)) === -1) {
		throw lastError(`remove ${show(attribute)} of ${describe(target)}`);
	}
}

function call(target: AttributeTarget, unfollowed: (path: Buffer) => number, followed: (path: Buffer) => number, opened: (fd: number) => number): number {
	if (typeof target === 'number') {
		const result = opened(target);
		// The f... calls refuse a descriptor of O_PATH; the path of a descriptor is a magic link, to be followed.
		return result === -1 && isLastErrno(constants.errno.EBADF) ? followed(cString(`/proc/self/fd/${target}`)) : result;
	}
	if (typeof target === 'string' || target instanceof Uint8Array) {
		return unfollowed(cString(target));
	}
	const prefix = Buffer.from(`/proc/self/fd/${target.directory}/`);
	return unfollowed(cString(Buffer.concat([prefix, typeof target.name === 'string' ? Buffer.from(target.name) : target.name])));
}

function grow(what: string, read: (buffer: Buffer, size: number) => number): Buffer {
	for (let size = 256; ; size = Math.max(size * 2, read(Buffer.alloc(1), 0))) {
		const buffer = Buffer.alloc(size);
		const length = read(buffer, size);
		if (length !== -1) {
			return Buffer.from(buffer.subarray(0, length));
		}
		const error = lastError(what);
		// The kernel's limit for names and for values is 64 KiB.
		if (errnoOf(error) !== 'ERANGE' || size > 65_536) {
			throw error;
		}
	}
}

function describe(target: AttributeTarget): string {
	if (typeof target === 'number') {
		return `descriptor ${target}`;
	}
	return show(typeof target === 'string' || target instanceof Uint8Array ? target : target.name);
}

const functions = bindings(libc => ({
	setxattr: libc.func('int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)'),
	lsetxattr: libc.func('int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)'),
	fsetxattr: libc.func('int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)'),
	getxattr: libc.func('long getxattr(const char *path, const char *name, void *value, size_t size)'),
	lgetxattr: libc.func('long lgetxattr(const char *path, const char *name, void *value, size_t size)'),
	fgetxattr: libc.func('long fgetxattr(int fd, const char *name, void *value, size_t size)'),
	listxattr: libc.func('long listxattr(const char *path, void *list, size_t size)'),
	llistxattr: libc.func('long llistxattr(const char *path, void *list, size_t size)'),
	flistxattr: libc.func('long flistxattr(int fd, void *list, size_t size)'),
	removexattr: libc.func('int removexattr(const char *path, const char *name)'),
	lremovexattr: libc.func('int lremovexattr(const char *path, const char *name)'),
	fremovexattr: libc.func('int fremovexattr(int fd, const char *name)'),
}));
