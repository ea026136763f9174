export type TarEntryType = 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo' | 'unknown';

/** A part of a sparse file that is stored; what lies between is a hole. */
export interface Extent {
	readonly offset: number;
	readonly length: number;
}

export interface TarAttribute {
	readonly name: Buffer;
	readonly value: Buffer;
}

/** One member of an archive, what all its headers say taken together. Names are bytes: they need not be UTF-8. */
export interface TarEntry {
	readonly name: Buffer;
	readonly type: TarEntryType;
	/** As it stands in the header: tells the unknown types from each other. */
	readonly typeflag: string;
	/** Permission bits with setuid, setgid and sticky. */
	readonly mode: number;
	/** As they stand, also where they are no possible ids. */
	readonly uid: number;
	readonly gid: number;
	/** Bytes of the file, with its holes. */
	readonly size: number;
	/** Since 1970, maybe before it. */
	readonly mtimeNs: bigint;
	readonly atimeNs: bigint | undefined;
	/** Of links and symbolic links. */
	readonly linkName: Buffer;
	/** Of devices. */
	readonly device: {readonly major: number; readonly minor: number};
	/** Extended attributes (pax records SCHILY.xattr.*). */
	readonly attributes: readonly TarAttribute[];
	/** Of a sparse file; sorted, not overlapping, within `size`. */
	readonly extents: readonly Extent[] | undefined;
}

/** Takes an archive's members, one after another. */
export interface TarSink {
	entry(entry: TarEntry): void;
	/** A part of the current entry's file; `offset` is its place in the file. The bytes are valid during the call only. */
	data(bytes: Buffer, offset: number): void;
	/** The current entry is whole. */
	entryEnd(): void;
}

/** Bytes of a header, and of what is read ahead of an entry, at most. */
export const tarLimits = {headerBytes: 1024 * 1024, nameBytes: 4095, extents: 65_536} as const;
