import {createHash} from 'node:crypto';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import test from 'ava';
import * as fc from 'fast-check';
import {Inflater, type Decoder, type DecoderMemory} from '../../lib/inflate/inflater.ts';
import {openIsal} from '../../lib/inflate/isal.ts';
import {openZlib} from '../../lib/inflate/zlib.ts';
import {openZstd} from '../../lib/inflate/zstd.ts';

type Open = (memory: DecoderMemory) => Decoder;

const libraries: readonly (readonly [string, Open, (bytes: Buffer) => Buffer])[] = [
	['isal', openIsal, bytes => gzipSync(bytes)],
	['zlib', openZlib, bytes => gzipSync(bytes)],
	['zstd', openZstd, bytes => zstdCompressSync(bytes)],
];

for (const [name, open, compress] of libraries) {
	test(`${name}: members and frames of any content come out as they went in, whatever pieces they are cut into`, t => {
		t.notThrows(() => fc.assert(fc.property(contents, sizes, sizes, (members, inputBytes, outputBytes) => {
			const compressed = Buffer.concat(members.map(compress));
			const expected = Buffer.concat(members);
			const made = inflateAll(open, compressed, {inputBytes, outputBytes});
			return made.length === expected.length && sha256(made) === sha256(expected);
		}), {numRuns: 150}));
	});

	test(`${name}: what is cut short anywhere is found out`, t => {
		const whole = compress(Buffer.from('a layer '.repeat(500)));
		for (let length = 0; length < whole.length; length++) {
			t.throws(() => inflateAll(open, whole.subarray(0, length)), {code: 'DATA_LOSS'}, `${length} of ${whole.length} bytes`);
		}
		t.throws(() => inflateAll(open, Buffer.concat([whole, whole.subarray(0, 9)])), {code: 'DATA_LOSS'});
		t.is(inflateAll(open, whole).length, 4000);
	});

	test(`${name}: what follows the last member must be another one`, t => {
		const whole = compress(Buffer.from('a layer'));
		t.throws(() => inflateAll(open, Buffer.concat([whole, Buffer.from('garbage of some length')])), {code: 'DATA_LOSS'});
		t.throws(() => inflateAll(open, Buffer.concat([whole, Buffer.alloc(512)])), {code: 'DATA_LOSS'});
	});

	test(`${name}: damaged bytes are refused or make something, and never reach beyond their memory`, t => {
		const whole = compress(Buffer.from(Array.from({length: 50_000}, (_, at) => (at * at) % 247)));
		let refused = 0;
		fc.assert(fc.property(fc.nat(whole.length - 1), fc.integer({min: 1, max: 255}), sizes, (at, change, outputBytes) => {
			const damaged = Buffer.from(whole);
			damaged[at] = (damaged[at] as number) ^ change;
			try {
				inflateAll(open, damaged, {inputBytes: 1000, outputBytes});
			} catch (error) {
				refused++;
				t.like(error, {code: 'DATA_LOSS'});
			}
		}), {numRuns: 400});
		t.true(refused > (name === 'zstd' ? 10 : 300), `${refused} of 400 refused`);
	});

	test(`${name}: an error of whoever takes the bytes comes through`, t => {
		const error = t.throws(() => inflateAll(open, compress(Buffer.from('a layer')), {use: () => {
			throw new RangeError('no room');
		}}), {instanceOf: RangeError});
		t.is(error?.message, 'no room');
	});
}

const contents = fc.array(fc.oneof(
	fc.uint8Array({maxLength: 3000}).map(bytes => Buffer.from(bytes)),
	fc.tuple(fc.string({minLength: 1, maxLength: 40}), fc.nat(4000)).map(([text, times]) => Buffer.from(text.repeat(times))),
), {minLength: 1, maxLength: 4});
const sizes = fc.oneof(fc.integer({min: 1, max: 64}), fc.constantFrom(4096, 65_536, 262_144));

interface Pieces {
	readonly inputBytes?: number;
	readonly outputBytes?: number;
	readonly use?: (bytes: Buffer) => void;
}

function inflateAll(open: Open, compressed: Buffer, {inputBytes = 65_536, outputBytes = 65_536, use}: Pieces = {}): Buffer {
	const made: Buffer[] = [];
	using inflater = new Inflater(open, inputBytes, outputBytes);
	for (let at = 0; at < compressed.length; at += inputBytes) {
		inflater.push(compressed.copy(inflater.input, 0, at), use ?? (bytes => made.push(Buffer.from(bytes))));
	}
	inflater.end();
	return Buffer.concat(made);
}

function sha256(bytes: Buffer): string {
	return createHash('sha256').update(bytes).digest('hex');
}
