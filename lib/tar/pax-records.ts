import {KeelsonError} from '../../kernel/errors.ts';
import type {TarAttribute} from './tar-entry.ts';

/** What a pax extended header says; values are bytes where they need not be text. */
export interface PaxRecords {
	readonly path?: Buffer;
	readonly linkpath?: Buffer;
	readonly size?: number;
	readonly uid?: number;
	readonly gid?: number;
	readonly mtimeNs?: bigint;
	readonly atimeNs?: bigint;
	readonly attributes: readonly TarAttribute[];
	/** GNU.sparse.*, without this prefix. */
	readonly sparse: ReadonlyMap<string, string>;
	/** GNU.sparse.name of version 1.0, GNU.sparse.offset and numbytes of 0.0 in pairs. */
	readonly sparseName?: Buffer;
	readonly sparsePairs: readonly number[];
}

/** Reads `<length> <key>=<value>\n` records (POSIX pax, "pax Extended Header"). Of a key that comes twice the last counts. Rejects with INVALID_ARGUMENT. */
export function parsePaxRecords(bytes: Buffer): PaxRecords {
	const values = new Map<string, Buffer>();
	const sparsePairs: number[] = [];
	for (let at = 0; at < bytes.length;) {
		const {key, value, end} = readRecord(bytes, at);
		if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
			if ((sparsePairs.length % 2 === 0) !== (key === 'GNU.sparse.offset')) {
				throw invalid('GNU.sparse.offset and GNU.sparse.numbytes do not take turns');
			}
			sparsePairs.push(decimal(key, value));
		} else {
			values.set(key, value);
		}
		at = end;
	}
	const attributes: TarAttribute[] = [];
	const sparse = new Map<string, string>();
	for (const [key, value] of values) {
		if (key.startsWith(attributePrefix)) {
			attributes.push({name: Buffer.from(key.slice(attributePrefix.length), 'latin1'), value});
		} else if (key.startsWith(sparsePrefix)) {
			sparse.set(key.slice(sparsePrefix.length), value.toString('latin1'));
		}
	}
	return {...known(values), attributes, sparse, sparsePairs};
}

/** Seconds as decimal text, maybe negative, maybe with a fraction, of which nine digits count. */
export function parsePaxTime(text: string): bigint {
	const [, sign = '', seconds = '', fraction = ''] = /^(-?)(\d{1,19})(?:\.(\d*))?$/.exec(text) ?? [];
	if (seconds === '') {
		throw invalid(`${JSON.stringify(text.slice(0, 100))} is no time`);
	}
	const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
	return sign === '' ? ns : -ns;
}

function readRecord(bytes: Buffer, at: number): {readonly key: string; readonly value: Buffer; readonly end: number} {
	const space = bytes.indexOf(0x20, at);
	const digits = space === -1 || space - at > 10 ? '' : bytes.toString('latin1', at, space);
	const end = at + Number(digits);
	if (!/^\d+$/.test(digits) || end > bytes.length || end < space + 2 || bytes[end - 1] !== 0x0a) {
		throw invalid(`the record at byte ${at} has the length ${JSON.stringify(bytes.toString('latin1', at, at + 16))}`);
	}
	const equals = bytes.indexOf(0x3d, space);
	if (equals === -1 || equals >= end || equals === space + 1) {
		throw invalid(`the record at byte ${at} has no key`);
	}
	// Latin 1 keeps all bytes apart.
	const key = bytes.toString('latin1', space + 1, equals);
	const value = Buffer.from(bytes.subarray(equals + 1, end - 1));
	if (key.includes('\0') || (namedByText.has(key) && value.includes(0))) {
		throw invalid(`the record ${JSON.stringify(key.slice(0, 100))} has a NUL byte in it`);
	}
	return {key, value, end};
}

// An empty value means: as if the record were not there.
function known(values: ReadonlyMap<string, Buffer>): Partial<PaxRecords> {
	const take = <K extends string, T>(name: K, key: string, read: (value: Buffer) => T): Partial<Record<K, T>> => {
		const value = values.get(key);
		return value === undefined || value.length === 0 ? {} : {[name]: read(value)} as Record<K, T>;
	};
	const number = (key: string) => (value: Buffer): number => decimal(key, value);
	const time = (value: Buffer): bigint => parsePaxTime(value.toString('latin1'));
	return {
		...take('path', 'path', value => value),
		...take('linkpath', 'linkpath', value => value),
		...take('sparseName', 'GNU.sparse.name', value => value),
		...take('size', 'size', number('size')),
		...take('uid', 'uid', number('uid')),
		...take('gid', 'gid', number('gid')),
		...take('mtimeNs', 'mtime', time),
		...take('atimeNs', 'atime', time),
	};
}

function decimal(key: string, value: Buffer): number {
	const text = value.toString('latin1');
	const number = Number(text);
	if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(number)) {
		throw invalid(`the record ${key} has ${JSON.stringify(text.slice(0, 100))}, expected a number`);
	}
	return number;
}

function invalid(what: string): KeelsonError {
	return new KeelsonError('INVALID_ARGUMENT', `pax header: ${what}`);
}

const attributePrefix = 'SCHILY.xattr.';
const sparsePrefix = 'GNU.sparse.';
const namedByText: ReadonlySet<string> = new Set(['path', 'linkpath', 'GNU.sparse.name']);
