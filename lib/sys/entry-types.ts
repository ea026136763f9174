import {bindings, lastError} from './libc.ts';

export type EntryType = 'fifo' | 'character' | 'directory' | 'block' | 'file' | 'link' | 'socket' | 'whiteout' | 'unknown';

export interface EntryOfDirectory {
	readonly name: Buffer;
	/** As the file system's directory has it, with no look at the file: `unknown` where it does not keep types. */
	readonly type: EntryType;
}

/** getdents64(2): what is left to read of an open directory, `.` and `..` too. */
export function readEntryTypes(fd: number): readonly EntryOfDirectory[] {
	const entries: EntryOfDirectory[] = [];
	const buffer = Buffer.alloc(32_768);
	for (;;) {
		const length = functions().getdents64(fd, buffer, buffer.length);
		if (length === -1) {
			throw lastError(`read directory of descriptor ${fd}`);
		}
		if (length === 0) {
			return entries;
		}
		// struct linux_dirent64: u64 ino, s64 offset, u16 length of the record, u8 type, name with a NUL
		for (let at = 0; at < length; at += buffer.readUInt16LE(at + 16)) {
			const name = buffer.subarray(at + 19, buffer.indexOf(0, at + 19));
			entries.push({name: Buffer.from(name), type: types.get(buffer.readUInt8(at + 18)) ?? 'unknown'});
		}
	}
}

// DT_... of dirent.h
const types: ReadonlyMap<number, EntryType> = new Map([
	[1, 'fifo'], [2, 'character'], [4, 'directory'], [6, 'block'], [8, 'file'], [10, 'link'], [12, 'socket'], [14, 'whiteout'],
]);

const functions = bindings(libc => ({
	getdents64: libc.func('long getdents64(int fd, void *entries, size_t size)'),
}));
