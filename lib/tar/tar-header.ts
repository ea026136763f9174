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
	const isMarked = has(block, 257, 'ustar');
	const isGnu = isMarked && has(block, 262, '  \0');
	const isUstar = isMarked && block[262] === 0;
	const isStar = isUstar && has(block, 508, 'tar\0');
	return {
		name: join(prefixOf(block, {isGnu, isUstar, isStar}), text(block, 0, 100)),
		mode: parseNumber(block, 100, 8, where),
		uid: parseNumber(block, 108, 8, where),
		gid: parseNumber(block, 116, 8, where),
		size: parseNumber(block, 124, 12, where),
		mtime: parseNumber(block, 136, 12, where),
		typeflag: String.fromCharCode(block[156] as number),
		linkName: copyOf(text(block, 157, 100)),
		device: isUstar || isGnu ? {major: parseNumber(block, 329, 8, where), minor: parseNumber(block, 337, 8, where)} : noDevice,
		isGnu,
		raw: block,
	};
}

/** Octal digits among spaces and NULs, or, with the highest bit set, a big-endian two's complement number (GNU's base-256). */
export function parseNumber(block: Buffer, start: number, length: number, where: number): number {
	if (((block[start] as number) & 0x80) !== 0) {
		return parseBinary(block, start, length, where);
	}
	let value = 0;
	let at = start;
	const end = start + length;
	while (at < end && isPadding(block[at])) {
		at++;
	}
	for (; at < end && block[at] !== 0 && block[at] !== 0x20; at++) {
		const digit = (block[at] as number) - 0x30;
		if (digit < 0 || digit > 7) {
			throw new KeelsonError('INVALID_ARGUMENT', `the header at byte ${where} has ${JSON.stringify(block.toString('latin1', start, end))} for a number`);
		}
		value = value * 8 + digit;
	}
	return value;
}

/** Up to the NUL. */
export function text(block: Buffer, start: number, length: number): Buffer {
	if (block[start] === 0) {
		return empty;
	}
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
	let at = checksumAt;
	while (at < checksumEnd && isPadding(block[at])) {
		at++;
	}
	let expected = 0;
	const digits = at;
	for (; at < checksumEnd && !isPadding(block[at]); at++) {
		const digit = (block[at] as number) - 0x30;
		if (digit < 0 || digit > 7) {
			return false;
		}
		expected = expected * 8 + digit;
	}
	const unsigned = sumOf(block);
	return at > digits && (expected === unsigned || expected === unsigned - 256 * countHigh(block));
}

/** The sum of all bytes, with spaces for the checksum's own. */
function sumOf(block: Buffer): number {
	const words = new DataView(block.buffer, block.byteOffset, blockBytes);
	// Two sums in each, which cannot run into one another: 128 words are 256 bytes of either.
	let pairs = 0;
	for (let at = 0; at < blockBytes; at += 4) {
		const word = words.getUint32(at);
		pairs = (pairs + (word & 0xff00ff) + (word >>> 8 & 0xff00ff)) | 0;
	}
	let sum = (pairs & 0xffff) + (pairs >>> 16);
	for (let at = checksumAt; at < checksumEnd; at++) {
		sum += 0x20 - (block[at] as number);
	}
	return sum;
}

function countHigh(block: Buffer): number {
	return block.reduce((count, byte, at) => at < checksumAt || at >= checksumEnd ? count + (byte >> 7) : count, 0);
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

/** A copy of the whole name. */
function join(prefix: Buffer, name: Buffer): Buffer {
	return prefix.length === 0 ? copyOf(name) : Buffer.concat([prefix, slash, name]);
}

function copyOf(bytes: Buffer): Buffer {
	return bytes.length === 0 ? empty : Buffer.from(bytes);
}

function has(block: Buffer, start: number, characters: string): boolean {
	for (let at = 0; at < characters.length; at++) {
		if (block[start + at] !== characters.charCodeAt(at)) {
			return false;
		}
	}
	return true;
}

function isPadding(byte: number | undefined): boolean {
	return byte === 0 || byte === 0x20;
}

const checksumAt = 148;
const checksumEnd = 156;
const empty = Buffer.alloc(0);
const noDevice = {major: 0, minor: 0};
const slash = Buffer.from('/');
