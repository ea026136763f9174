/**
 * Tar archives with raw control over every byte, for images that are odder than any tool makes.
 * Formats: POSIX.1-2017 pax interchange format, the GNU dialect of the GNU tar manual ("Basic Tar Format", "Old GNU format"), and Schilling's star (star(5)).
 */

export type TarType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo';
export type Dialect = 'ustar' | 'pax' | 'gnu' | 'star';

/** A part of a sparse file that is stored; what lies between parts is a hole. */
export interface Extent {
	readonly offset: number;
	readonly bytes: Uint8Array;
}

export interface TarEntry {
	/** Bytes where the name is not UTF-8. */
	readonly name: string | Uint8Array;
	readonly type?: TarType;
	readonly mode?: number;
	readonly uid?: number;
	readonly gid?: number;
	/** Seconds since 1970 as decimal text; a fraction or a minus sign needs pax. */
	readonly mtime?: string;
	readonly body?: string | Uint8Array;
	readonly link?: string | Uint8Array;
	readonly device?: readonly [major: number, minor: number];
	/** Further pax records, kept as bytes. */
	readonly pax?: Readonly<Record<string, string | Uint8Array>>;
	/** A GNU sparse file of this size: format 1.0 in pax, type S in gnu. */
	readonly sparse?: {readonly size: number; readonly extents: readonly Extent[]};
	readonly dialect?: Dialect;
}

const block = 512;
const typeflags: Record<TarType, string> = {file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', directory: '5', fifo: '6'};

/** The archive of these entries, in this order, closed by two empty blocks. */
export function tar(entries: readonly TarEntry[], dialect: Dialect = 'pax'): Buffer {
	return Buffer.concat([...entries.flatMap(entry => entryBlocks(entry, entry.dialect ?? dialect)), Buffer.alloc(2 * block)]);
}

function entryBlocks(entry: TarEntry, dialect: Dialect): Buffer[] {
	const name = Buffer.from(entry.name);
	const link = Buffer.from(entry.link ?? '');
	if (dialect === 'gnu') {
		return [
			...name.length > 100 ? gnuLong('L', name) : [],
			...link.length > 100 ? gnuLong('K', link) : [],
			...entry.sparse === undefined ? plain(entry, name.subarray(0, 100), link.subarray(0, 100), dialect) : gnuSparse(entry, name),
		];
	}

	if (dialect === 'ustar' || dialect === 'star') {
		return plain(entry, name, link, dialect);
	}

	const records: Record<string, string | Uint8Array> = {...entry.pax};
	if (name.length > 100) {
		records['path'] = name;
	}

	if (link.length > 100) {
		records['linkpath'] = link;
	}

	if (entry.mtime !== undefined && !/^\d{1,11}$/v.test(entry.mtime)) {
		records['mtime'] = entry.mtime;
	}

	for (const key of ['uid', 'gid'] as const) {
		if ((entry[key] ?? 0) > 0o7777777) {
			records[key] = String(entry[key]);
		}
	}

	let body = entry.body ?? '';
	let shown = name;
	if (entry.sparse !== undefined) {
		const {size, extents} = entry.sparse;
		Object.assign(records, {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': name, 'GNU.sparse.realsize': String(size)});
		const map = Buffer.from([extents.length, ...extents.flatMap(({offset, bytes}) => [offset, bytes.length])].map(number => `${number}\n`).join(''));
		body = Buffer.concat([padded(map), ...extents.map(({bytes}) => bytes)]);
		shown = Buffer.from('GNUSparseFile.0/sparse');
	}

	const extended = Object.entries(records);
	return [
		...extended.length > 0 ? [...plain({name: 'PaxHeaders/x', body: Buffer.concat(extended.map(([key, value]) => paxRecord(key, value))), mode: 0o644}, Buffer.from('PaxHeaders/x'), Buffer.alloc(0), 'pax', 'x')] : [],
		...plain({...entry, body}, shown.subarray(0, 100), link.subarray(0, 100), dialect),
	];
}

function plain(entry: TarEntry, name: Buffer, link: Buffer, dialect: Dialect, flag = typeflags[entry.type ?? 'file']): Buffer[] {
	const body = Buffer.from(entry.body ?? '');
	return [header(entry, {name, link, flag, size: body.length, dialect}), padded(body)];
}

interface HeaderFields {
	readonly name: Buffer;
	readonly link: Buffer;
	readonly flag: string;
	readonly size: number;
	readonly dialect: Dialect;
	readonly gnu?: (head: Buffer) => void;
}

function header(entry: TarEntry, {name, link, flag, size, dialect, gnu}: HeaderFields): Buffer {
	const head = Buffer.alloc(block);
	const seconds = Math.max(0, Math.floor(Number(entry.mtime ?? '1700000000')));
	if ((dialect === 'ustar' || dialect === 'star') && name.length > 100) {
		// The path is cut at a slash: what precedes it goes into the prefix field. Not at the one that ends a directory's name.
		const cut = name.subarray(0, -1).lastIndexOf('/', dialect === 'star' ? 131 : 155);
		name.copy(head, 345, 0, cut);
		name.copy(head, 0, cut + 1);
	} else {
		name.copy(head, 0);
	}

	number(head, entry.mode ?? (entry.type === 'directory' ? 0o755 : 0o644), 100, 8, dialect);
	number(head, entry.uid ?? 0, 108, 8, dialect);
	number(head, entry.gid ?? 0, 116, 8, dialect);
	number(head, size, 124, 12, dialect);
	number(head, seconds, 136, 12, dialect);
	head.write(flag, 156);
	link.copy(head, 157);
	head.write(dialect === 'gnu' ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1');
	number(head, entry.device?.[0] ?? 0, 329, 8, dialect);
	number(head, entry.device?.[1] ?? 0, 337, 8, dialect);
	if (dialect === 'star') {
		number(head, seconds + 1, 476, 12, dialect);
		number(head, seconds + 2, 488, 12, dialect);
		head.write('tar\0', 508, 'latin1');
	}
	gnu?.(head);
	head.fill(' ', 148, 156);
	const sum = head.reduce((total, byte) => total + byte, 0);
	head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return head;
}

/** Octal text where it fits; beyond it base-256 in the GNU dialect and in star, and a harmless 0 in pax, whose records say it. */
function number(head: Buffer, value: number, at: number, width: number, dialect: Dialect): void {
	const octal = value.toString(8);
	if (octal.length < width) {
		head.write(octal.padStart(width - 1, '0'), at, 'latin1');
	} else if (dialect === 'gnu' || dialect === 'star') {
		head.writeUInt8(0x80, at);
		head.writeUIntBE(value, at + width - 6, 6);
	} else {
		head.write('0'.repeat(width - 1), at, 'latin1');
	}
}

function gnuLong(flag: 'L' | 'K', text: Buffer): Buffer[] {
	return plain({name: '././@LongLink', body: Buffer.concat([text, Buffer.alloc(1)])}, Buffer.from('././@LongLink'), Buffer.alloc(0), 'gnu', flag);
}

function gnuSparse(entry: TarEntry, name: Buffer): Buffer[] {
	const {size, extents} = entry.sparse ?? {size: 0, extents: []};
	// Four extents fit into the header; each further block holds 21 more and says whether another follows.
	const blocks = Array.from({length: Math.ceil(Math.max(0, extents.length - 4) / 21)}, (_, index) => {
		const more = Buffer.alloc(block);
		const rest = extents.slice(4 + 21 * index);
		rest.slice(0, 21).forEach((extent, slot) => writeExtent(more, extent, 24 * slot));
		more.writeUInt8(rest.length > 21 ? 1 : 0, 504);
		return more;
	});
	const body = Buffer.concat(extents.map(({bytes}) => bytes));
	const head = header(entry, {name: name.subarray(0, 100), link: Buffer.alloc(0), flag: 'S', size: body.length, dialect: 'gnu', gnu(raw) {
		extents.slice(0, 4).forEach((extent, slot) => writeExtent(raw, extent, 386 + 24 * slot));
		raw.writeUInt8(extents.length > 4 ? 1 : 0, 482);
		number(raw, size, 483, 12, 'gnu');
	}});
	return [head, ...blocks, padded(body)];
}

function writeExtent(into: Buffer, extent: Extent, at: number): void {
	number(into, extent.offset, at, 12, 'gnu');
	number(into, extent.bytes.length, at + 12, 12, 'gnu');
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string | Uint8Array): Buffer {
	const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
	let length = rest.length + 1;
	while (String(length).length + rest.length !== length) {
		length = String(length).length + rest.length;
	}

	return Buffer.concat([Buffer.from(String(length)), rest]);
}

function padded(bytes: Buffer): Buffer {
	const short = bytes.length % block;
	return short === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(block - short)]);
}
