/** A small generator of numbers (xorshift32): the same seed is the same run. */
export class Chance {
	#state: number;

	constructor(seed: number) {
		this.#state = (seed >>> 0) || 1;
	}

	/** From 0 up to and without `limit`. */
	below(limit: number): number {
		this.#state ^= this.#state << 13;
		this.#state ^= this.#state >>> 17;
		this.#state ^= this.#state << 5;
		return limit <= 0 ? 0 : (this.#state >>> 0) % limit;
	}

	of<T>(items: readonly T[]): T | undefined {
		return items[this.below(items.length)];
	}
}

const INPUT_BYTES_MAX = 64 * 1024;
const ODD_BYTES = [0, 1, 0x20, 0x22, 0x2c, 0x2f, 0x30, 0x39, 0x3a, 0x3d, 0x5c, 0x7f, 0x80, 0xc3, 0xe2, 0xff];
const ODD_WORDS = ['0', '-1', '1e309', '99999999999999999999', '777777777777', '4294967296', '../', '/', '\\', '"', '""', '\u0000', '%00', '\ud800', '\u202e', '{', '}', '[', ']', ',', ':', 'null', 'true', '__proto__', 'constructor'];

type Mutation = (bytes: Buffer, chance: Chance, others: readonly Buffer[], words: readonly string[]) => Buffer;

const mutations: readonly Mutation[] = [
	(bytes, chance) => {
		const copy = Buffer.from(bytes);
		const at = chance.below(copy.length);
		if (copy.length > 0) {
			copy.writeUInt8(copy.readUInt8(at) ^ 1 << chance.below(8), at);
		}
		return copy;
	},
	(bytes, chance) => {
		const copy = Buffer.from(bytes);
		if (copy.length > 0) {
			copy.writeUInt8(chance.of(ODD_BYTES) ?? 0, chance.below(copy.length));
		}
		return copy;
	},
	(bytes, chance) => insert(bytes, chance, Buffer.from([chance.below(256)])),
	(bytes, chance, _others, words) => insert(bytes, chance, Buffer.from(chance.of([...ODD_WORDS, ...words]) ?? '')),
	(bytes, chance, _others, words) => {
		const word = Buffer.from(chance.of([...ODD_WORDS, ...words]) ?? '');
		const at = chance.below(bytes.length);
		return Buffer.concat([bytes.subarray(0, at), word, bytes.subarray(at + word.length)]);
	},
	(bytes, chance) => {
		const [start, end] = range(bytes, chance);
		return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
	},
	(bytes, chance) => {
		const [start, end] = range(bytes, chance);
		return insert(bytes, chance, bytes.subarray(start, end));
	},
	(bytes, chance) => {
		const [start, end] = range(bytes, chance);
		const times = 1 + chance.below(200);
		return Buffer.concat([bytes.subarray(0, end), ...Array.from({length: times}, () => bytes.subarray(start, end)), bytes.subarray(end)]);
	},
	(bytes, chance, others) => {
		const other = chance.of(others) ?? bytes;
		return Buffer.concat([bytes.subarray(0, chance.below(bytes.length + 1)), other.subarray(chance.below(other.length + 1))]);
	},
	(bytes, chance) => bytes.subarray(0, chance.below(bytes.length + 1)),
];

/** A few changes, one on the other, of at most 64 KiB in all. */
export function mutate(bytes: Buffer, chance: Chance, others: readonly Buffer[], words: readonly string[]): Buffer {
	let changed = bytes;
	for (let count = 1 + chance.below(4); count > 0; count--) {
		changed = (chance.of(mutations) ?? (same => same))(changed, chance, others, words).subarray(0, INPUT_BYTES_MAX);
	}
	return changed;
}

function insert(bytes: Buffer, chance: Chance, more: Buffer): Buffer {
	const at = chance.below(bytes.length + 1);
	return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
}

function range(bytes: Buffer, chance: Chance): readonly [number, number] {
	const start = chance.below(bytes.length);
	return [start, Math.min(bytes.length, start + 1 + chance.below(chance.below(2) === 0 ? 8 : 600))];
}
