import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const llistxattr = libc.func('int64_t llistxattr(const void *path, _Out_ void *list, size_t size)');
const lgetxattr = libc.func('int64_t lgetxattr(const void *path, const char *name, _Out_ void *value, size_t size)');

/** The extended attributes of a file, links not followed: name to hexadecimal value. listxattr(7): names end in zero bytes; 64 KiB hold any. */
export function xattrs(path: Buffer): Record<string, string> {
	const zeroed = Buffer.concat([path, Buffer.alloc(1)]);
	const names = Buffer.alloc(65_536);
	const size = Number(llistxattr(zeroed, names, names.length));
	if (size < 0) {
		throw new Error(`the extended attributes of ${path.toString()} cannot be listed`);
	}

	const value = Buffer.alloc(65_536);
	return Object.fromEntries(names.toString('latin1', 0, size).split('\0').filter(name => name !== '').toSorted().map(name => {
		const length = Number(lgetxattr(zeroed, name, value, value.length));
		if (length < 0) {
			throw new Error(`the extended attribute ${name} of ${path.toString()} cannot be read`);
		}

		return [name, value.toString('hex', 0, length)];
	}));
}
