import {KeelsonError} from '../../kernel/errors.ts';
import type {PaxRecords} from './pax-records.ts';
import {tarLimits, type Extent} from './tar-entry.ts';
import {parseNumber, type TarHeader} from './tar-header.ts';

/** Where a sparse file's map is: already known, in blocks after the header (old GNU), or in front of the data (pax 1.0). */
export type SparsePlan =
	| {readonly kind: 'known'; readonly extents: readonly Extent[]; readonly size: number}
	| {readonly kind: 'blocks'; readonly extents: readonly Extent[]; readonly size: number}
	| {readonly kind: 'in data'; readonly size: number};

/** How an entry is sparse; undefined when it is not. GNU tar manual, "Storing Sparse Files". Rejects with INVALID_ARGUMENT. */
export function planSparse(header: TarHeader, pax: PaxRecords | undefined, where: number): SparsePlan | undefined {
	if (header.typeflag === 'S') {
		const {extents, isLast} = readExtents(header.raw, 386, 4, 482, where);
		const size = parseNumber(header.raw, 483, 12, where);
		return {kind: isLast ? 'known' : 'blocks', extents, size};
	}
	if (pax === undefined) {
		return undefined;
	}
	const {sparse, sparsePairs} = pax;
	const [major, minor] = [sparse.get('major'), sparse.get('minor')];
	const realSize = (): number => wholeNumber(sparse.get('realsize') ?? sparse.get('size') ?? '');
	if (major === '1' && minor === '0') {
		return {kind: 'in data', size: realSize()};
	}
	const numbers = sparse.get('map')?.split(',').map(wholeNumber) ?? sparsePairs;
	if ((major !== undefined && major !== '0') || numbers.length === 0) {
		return undefined;
	}
	return {kind: 'known', extents: toExtents(numbers), size: realSize()};
}

/** One block of an old GNU map, or the part of it that a header holds. */
export function readExtents(block: Buffer, start: number, slots: number, flagAt: number, where: number): {readonly extents: readonly Extent[]; readonly isLast: boolean} {
	const extents: Extent[] = [];
	for (let slot = 0; slot < slots; slot++) {
		const at = start + 24 * slot;
		if (block[at] === 0) {
			break;
		}
		extents.push({offset: parseNumber(block, at, 12, where), length: parseNumber(block, at + 12, 12, where)});
	}
	return {extents, isLast: block[flagAt] === 0};
}

/**
 * Reads the map of pax 1.0: how many extents, then offset and length of each, a number a line, padded to a whole block.
 * @returns undefined when more bytes are needed; else the extents and how many bytes the map took, without padding
 */
export function readDataMap(bytes: Buffer): {readonly extents: readonly Extent[]; readonly length: number} | undefined {
	const numbers: number[] = [];
	for (let at = 0; ;) {
		const end = bytes.indexOf(0x0a, at);
		if (end === -1) {
			return undefined;
		}
		numbers.push(wholeNumber(bytes.toString('latin1', at, end)));
		at = end + 1;
		const [count = 0] = numbers;
		checkCount(count);
		if (numbers.length === 1 + 2 * count) {
			return {extents: toExtents(numbers.slice(1)), length: at};
		}
	}
}

/** Extents that follow each other within the file, their bytes as many as are stored. Rejects with INVALID_ARGUMENT. */
export function checkExtents(extents: readonly Extent[], size: number, storedBytes: number): readonly Extent[] {
	checkCount(extents.length);
	let end = 0;
	let stored = 0;
	for (const {offset, length} of extents) {
		if (offset < end || length < 0 || offset + length > size) {
			throw invalid(`an extent of ${length} bytes at ${offset} is out of order or beyond the size ${size}`);
		}
		end = offset + length;
		stored += length;
	}
	if (stored !== storedBytes) {
		throw invalid(`extents have ${stored} bytes, ${storedBytes} are stored`);
	}
	return extents;
}

export function checkCount(count: number): void {
	if (count > tarLimits.extents) {
		throw invalid(`${count} extents, at most ${tarLimits.extents} are allowed`);
	}
}

function toExtents(numbers: readonly number[]): readonly Extent[] {
	if (numbers.length % 2 !== 0) {
		throw invalid(`${numbers.length} numbers, expected pairs`);
	}
	return Array.from({length: numbers.length / 2}, (_, at) => ({offset: numbers[2 * at] ?? 0, length: numbers[2 * at + 1] ?? 0}));
}

function wholeNumber(text: string): number {
	if (!/^\d{1,15}$/.test(text)) {
		throw invalid(`${JSON.stringify(text.slice(0, 100))} is no number`);
	}
	return Number(text);
}

function invalid(what: string): KeelsonError {
	return new KeelsonError('INVALID_ARGUMENT', `map of a sparse file: ${what}`);
}
