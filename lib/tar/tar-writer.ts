import type {TarAttribute, TarEntry, TarEntryType} from './tar-entry.ts';
import {blockBytes} from './tar-header.ts';

/** What is written of an entry; see TarEntry. */
export type WrittenEntry = Pick<TarEntry, 'name' | 'mode' | 'uid' | 'gid' | 'size' | 'mtimeNs' | 'linkName' | 'device' | 'attributes'> & {
	readonly type: Exclude<TarEntryType, 'unknown'>;
};

/**
 * The header blocks of an entry: ustar, preceded by a pax header where that cannot hold a value. The same entry always has the same
 * bytes. The file's bytes follow, then `padding`.
 */
export function encodeTarHeader(entry: WrittenEntry): Buffer {
	const records = paxRecords(entry);
	const header = encodeBlock(entry, typeflags[entry.type]);
	if (records.length === 0) {
		return header;
	}
	const bytes = Buffer.concat(records);
	const pax: WrittenEntry = {...plain, name: paxName, mode: 0o644, size: bytes.length};
	return Buffer.concat([encodeBlock(pax, 'x'), bytes, padding(bytes.length), header]);
}

/** What fills the last block of so many bytes. */
export function padding(bytes: number): Buffer {
	return zeros.subarray(0, (blockBytes - bytes % blockBytes) % blockBytes);
}

/** Two empty blocks. */
export const endMark = Buffer.alloc(2 * blockBytes);

function paxRecords({name, linkName, size, uid, gid, mtimeNs, attributes}: WrittenEntry): Buffer[] {
	const seconds = mtimeNs / nsPerSecond;
	const hasPlainTime = mtimeNs >= 0n && mtimeNs % nsPerSecond === 0n && seconds <= BigInt(octalMax(12));
	return [
		...name.length > 100 ? [record('path', name)] : [],
		...linkName.length > 100 ? [record('linkpath', linkName)] : [],
		...size > octalMax(12) ? [record('size', Buffer.from(String(size)))] : [],
		...uid > octalMax(8) ? [record('uid', Buffer.from(String(uid)))] : [],
		...gid > octalMax(8) ? [record('gid', Buffer.from(String(gid)))] : [],
		...hasPlainTime ? [] : [record('mtime', Buffer.from(decimalTime(mtimeNs)))],
		...attributes.toSorted((a, b) => Buffer.compare(a.name, b.name)).map(attributeRecord),
	];
}

function attributeRecord({name, value}: TarAttribute): Buffer {
	return record(`SCHILY.xattr.${name.toString('latin1')}`, value);
}

function encodeBlock({name, mode, uid, gid, size, mtimeNs, linkName, device}: WrittenEntry, typeflag: string): Buffer {
	const block = Buffer.alloc(blockBytes);
	const number = (value: number, at: number, width: number): void => {
		// What does not fit stands in the pax header.
		block.write((value >= 0 && value <= octalMax(width) ? value : 0).toString(8).padStart(width - 1, '0'), at, 'latin1');
	};
	name.copy(block, 0, 0, 100);
	number(mode, 100, 8);
	number(uid, 108, 8);
	number(gid, 116, 8);
	number(size, 124, 12);
	number(Number(mtimeNs / nsPerSecond), 136, 12);
	block.write(typeflag, 156, 'latin1');
	linkName.copy(block, 157, 0, 100);
	block.write('ustar\x0000', 257, 'latin1');
	number(device.major, 329, 8);
	number(device.minor, 337, 8);
	block.fill(' ', 148, 156);
	let sum = 0;
	for (const byte of block) {
		sum += byte;
	}
	block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return block;
}

/** `<length> <key>=<value>\n`, where the length counts its own digits too. */
function record(key: string, value: Buffer): Buffer {
	const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), value, newline]);
	let length = rest.length + 1;
	while (String(length).length + rest.length !== length) {
		length = String(length).length + rest.length;
	}
	return Buffer.concat([Buffer.from(String(length)), rest]);
}

function decimalTime(timeNs: bigint): string {
	const absolute = timeNs < 0n ? -timeNs : timeNs;
	const fraction = String(absolute % nsPerSecond).padStart(9, '0').replace(/0+$/, '');
	return `${timeNs < 0n ? '-' : ''}${absolute / nsPerSecond}${fraction === '' ? '' : `.${fraction}`}`;
}

function octalMax(width: number): number {
	return 8 ** (width - 1) - 1;
}

const typeflags: Readonly<Record<WrittenEntry['type'], string>> = {
	file: '0', link: '1', symlink: '2', character: '3', block: '4', directory: '5', fifo: '6',
};

const nsPerSecond = 1_000_000_000n;
const newline = Buffer.from('\n');
const zeros = Buffer.alloc(blockBytes);
const paxName = Buffer.from('PaxHeaders/x');
const plain: WrittenEntry = {
	name: Buffer.alloc(0), type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtimeNs: 0n, linkName: Buffer.alloc(0), device: {major: 0, minor: 0}, attributes: [],
};
