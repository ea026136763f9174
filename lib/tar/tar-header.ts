import {KeelsonError} from '../../kernel/errors.ts';

export const blockBytes = 512;

/** The fields of one header block, with the prefix joined to the name. */
export interface TarHeader {
	readonly name: Buffer;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly size: number;
	readonly mtime: number;
	readonly typeflag: string;
	readonly linkName: Buffer;
	readonly device: {readonly major: number; readonly minor: number};
	readonly isGnu: boolean;
	readonly raw: Buffer;
}

/**
 * Reads a header block: v7, POSIX ustar ("ustar\0" "00"), star ("tar\0" at its end) or GNU ("ustar  \0").
 * Rejects with INVALID_ARGUMENT where the checksum or a number is wrong.
 */
export function parseTarHeader(block: Buffer, where: number): TarHeader {
	if (!hasChecksum(block)) {
		throw new KeelsonError('INVALID_ARGUMENT', `not a tar: the header at byte ${where} does not have its checksum`);
	}
	const magic = block.toString('latin1', 257, 265);
	const isGnu = magic === 'ustar  \0';
	const isUstar = magic.startsWith('ustar\0');
	const isStar = isUstar && block.toString('latin1', 508, 512) === 'tar\0';
	const number = (start: number, length: number): number => parseNumber(block, start, length, where);
	return {
		name: Buffer.from(joinPrefix(prefixOf(block, {isGnu, isUstar, isStar}), text(block, 0, 100))),
		mode: number(100, 8),
		uid: number(108, 8),
		gid: number(116, 8),
		size: number(124, 12),
		mtime: number(136, 12),
		typeflag: String.fromCharCode(block.readUInt8(156)),
		linkName: Buffer.from(text(block, 157, 100)),
		device: isUstar || isGnu ? {major: number(329, 8), minor: number(337, 8)} : {major: 0, minor: 0},
		isGnu,
		raw: block,
	};
}

/** Octal digits among spaces and NULs, or, with the highest bit set, a big-endian two's complement number (GNU's base-256). */
export function parseNumber(block: Buffer, start: number, length: number, where: number): number {
	const first = block.readUInt8(start);
	if ((first & 0x80) !== 0) {
		return parseBinary(block, start, length, where);
	}
	let value = 0;
	let at = start;
	const end = start + length;
	while (at < end && isPadding(block[at])) {
		at++;
	}
	for (; at < end && block[at] !== 0 && block[at] !== 0x20; at++) {
		const digit = block.readUInt8(at) - 0x30;
		if (digit < 0 || digit > 7) {
			throw new KeelsonError('INVALID_ARGUMENT', `the header at byte ${where} has ${JSON.stringify(block.toString('latin1', start, end))} for a number`);
		}
		value = value * 8 + digit;
	}
	return value;
}

/** Up to the NUL. */
export function text(block: Buffer, start: number, length: number): Buffer {
	const end = block.indexOf(0, start);
	return block.subarray(start, end === -1 || end > start + length ? start + length : end);
}

export function isZero(block: Buffer): boolean {
	for (let at = 0; at < block.length; at++) {
		if (block[at] !== 0) {
			return false;
		}
	}
	return true;
}

function parseBinary(block: Buffer, start: number, length: number, where: number): number {
	const isNegative = (block.readUInt8(start) & 0x40) !== 0;
	let value = BigInt(block.readUInt8(start) & 0x7f) - (isNegative ? 0x80n : 0n);
	for (let at = start + 1; at < start + length; at++) {
		value = value * 256n + BigInt(block.readUInt8(at));
	}
	const number = Number(value);
	if (!Number.isSafeInteger(number)) {
		throw new KeelsonError('INVALID_ARGUMENT', `the header at byte ${where} has the number ${value}, which is out of range`);
	}
	return number;
}

// Some old programs summed signed bytes.
function hasChecksum(block: Buffer): boolean {
	let unsigned = 8 * 0x20;
	for (let at = 0; at < 148; at++) {
		unsigned += block[at] as number;
	}
	for (let at = 156; at < blockBytes; at++) {
		unsigned += block[at] as number;
	}
	const digits = /^[\0 ]*([0-7]{1,8})[\0 ]/.exec(`${block.toString('latin1', 148, 156)} `)?.[1];
	const expected = Number.parseInt(digits ?? '', 8);
	return expected === unsigned || expected === unsigned - 256 * countHigh(block);
}

function countHigh(block: Buffer): number {
	return block.reduce((count, byte, at) => at < 148 || at >= 156 ? count + (byte >> 7) : count, 0);
}

function prefixOf(block: Buffer, {isGnu, isUstar, isStar}: {readonly isGnu: boolean; readonly isUstar: boolean; readonly isStar: boolean}): Buffer {
	if (isStar) {
		return text(block, 345, 131);
	}
	if (isUstar) {
		return text(block, 345, 155);
	}
	// GNU keeps times here, in octal or base-256; some writers of Go put a prefix into it all the same.
	const prefix = text(block, 345, 155);
	const isPath = isGnu && /^[\x20-\x7e]+$/.test(prefix.toString('latin1')) && !/^[0-7 ]+$/.test(prefix.toString('latin1'));
	return isPath ? prefix : empty;
}

function joinPrefix(prefix: Buffer, name: Buffer): Buffer {
	return prefix.length === 0 ? name : Buffer.concat([prefix, slash, name]);
}

function isPadding(byte: number | undefined): boolean {
	return byte === 0 || byte === 0x20;
}

const empty = Buffer.alloc(0);
const slash = Buffer.from('/');
