import {createHash} from 'node:crypto';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import * as fc from 'fast-check';
import {zstdFrameOf} from '../../contracts/diff/lazy-layers.suite.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {inflateBeside, inflateWithin, type Decoder} from '../../lib/inflate/inflater.ts';
import {IsalDecoder} from '../../lib/inflate/isal.ts';
import {Sha256Beside} from '../../lib/inflate/sha256-beside.ts';
import {ZlibDecoder} from '../../lib/inflate/zlib.ts';
import {ZstdDecoder} from '../../lib/inflate/zstd.ts';

interface Way {
	readonly inflate: typeof inflateWithin;
	readonly open: () => Decoder;
}

const anySizes = fc.oneof(fc.integer({min: 1, max: 64}), fc.constantFrom(4096, 65_536, 262_144));
const largerSizes = fc.oneof(fc.integer({min: 100, max: 2000}), fc.constantFrom(4096, 65_536, 262_144));

const libraries: readonly (readonly [string, Way['open'], (bytes: Buffer) => Buffer])[] = [
	['isal', () => new IsalDecoder(), bytes => gzipSync(bytes)],
	['zlib', () => new ZlibDecoder(), bytes => gzipSync(bytes)],
	['zstd', () => new ZstdDecoder(), bytes => zstdCompressSync(bytes)],
];
const ways = libraries.flatMap(([library, open, compress]) => ([['within', inflateWithin], ['beside', inflateBeside], ['beside, with a digest', inflateWithDigest]] as const)
	// Each piece that goes to the pool and back takes as long as a thousand that do not.
	.map(([side, inflate]) => ({name: `${library}, ${side}`, library, way: {inflate, open}, compress, ...side === 'within' ? {sizes: anySizes, runs: 300} : {sizes: largerSizes, runs: 60}})));

for (const {name, library, way, compress, sizes, runs} of ways) {
	test(`${name}: members and frames of any content come out as they went in, whatever pieces they are cut into`, async t => {
		await t.notThrowsAsync(fc.assert(fc.asyncProperty(contents, sizes, sizes, async (members, inputBytes, outputBytes) => {
			const compressed = Buffer.concat(members.map(compress));
			const expected = Buffer.concat(members);
			const made = await inflateAll(way, compressed, {inputBytes, outputBytes});
			return made.length === expected.length && sha256(made) === sha256(expected);
		}), {numRuns: runs / 3}));
	});

	test(`${name}: what is cut short anywhere is found out`, async t => {
		const whole = compress(Buffer.from('a layer '.repeat(500)));
		for (let length = 0; length < whole.length; length++) {
			await t.throwsAsync(inflateAll(way, whole.subarray(0, length)), {code: 'DATA_LOSS'}, `${length} of ${whole.length} bytes`);
		}
		await t.throwsAsync(inflateAll(way, Buffer.concat([whole, whole.subarray(0, 9)])), {code: 'DATA_LOSS'});
		t.is((await inflateAll(way, whole)).length, 4000);
	});

	test(`${name}: what follows the last member must be another one`, async t => {
		const whole = compress(Buffer.from('a layer'));
		await t.throwsAsync(inflateAll(way, Buffer.concat([whole, Buffer.from('garbage of some length')])), {code: 'DATA_LOSS'});
		await t.throwsAsync(inflateAll(way, Buffer.concat([whole, Buffer.alloc(512)])), {code: 'DATA_LOSS'});
	});

	test(`${name}: damaged bytes are refused or make something, and never reach beyond their memory`, async t => {
		const whole = compress(Buffer.from(Array.from({length: 50_000}, (_, at) => (at * at) % 247)));
		let refused = 0;
		await fc.assert(fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({min: 1, max: 255}), sizes, async (at, change, outputBytes) => {
			const damaged = Buffer.from(whole);
			damaged[at] = (damaged[at] as number) ^ change;
			try {
				await inflateAll(way, damaged, {inputBytes: 1000, outputBytes});
			} catch (error) {
				refused++;
				// Of a damaged header, a window too large.
				t.true(isKeelsonError(error, 'DATA_LOSS') || (library === 'zstd' && isKeelsonError(error, 'RESOURCE_EXHAUSTED')), String(error));
			}
		}), {numRuns: runs});
		t.true(refused > (library === 'zstd' ? runs / 30 : runs / 2), `${refused} of ${runs} refused`);
	});

	test(`${name}: an error of whoever takes the bytes comes through`, async t => {
		const error = await t.throwsAsync(inflateAll(way, compress(Buffer.from('a layer')), {use: () => {
			throw new RangeError('no room');
		}}), {instanceOf: RangeError});
		t.is(error?.message, 'no room');
	});
}

const contents = fc.array(fc.oneof(
	fc.uint8Array({maxLength: 3000}).map(bytes => Buffer.from(bytes)),
	fc.tuple(fc.string({minLength: 1, maxLength: 40}), fc.nat(4000)).map(([text, times]) => Buffer.from(text.repeat(times))),
), {minLength: 1, maxLength: 4});

interface Pieces {
	readonly inputBytes?: number;
	readonly outputBytes?: number;
	readonly use?: (bytes: Buffer) => void;
}

async function inflateAll({inflate, open}: Way, compressed: Buffer, {inputBytes = 65_536, outputBytes = 65_536, use}: Pieces = {}): Promise<Buffer> {
	const made: Buffer[] = [];
	const source = {
		read: async (buffer: Buffer, at: number) => at < compressed.length ? buffer.subarray(0, compressed.copy(buffer, 0, at)) : undefined,
	};
	await inflate(source, {open, inputBytes, outputBytes}, use ?? (bytes => made.push(Buffer.from(bytes))));
	return Buffer.concat(made);
}

/** Fails where the digest is not that of what is handed on. */
async function inflateWithDigest(...[source, options, use]: Parameters<typeof inflateWithin>): Promise<void> {
	using digest = new Sha256Beside();
	const hash = createHash('sha256');
	await inflateBeside(source, {...options, digest}, bytes => {
		hash.update(bytes);
		use(bytes);
	});
	if (digest.hex() !== hash.digest('hex')) {
		throw new Error('the digest is another than that of what was handed on');
	}
}

for (const [side, inflate] of [['within', inflateWithin], ['beside', inflateBeside]] as const) {
	test(`zstd, ${side}: a window of 128 MiB is taken, a larger one refused before there is memory for it`, async t => {
		const way: Way = {inflate, open: () => new ZstdDecoder()};
		t.is((await inflateAll(way, zstdFrameOf(27, Buffer.from('hello')))).toString(), 'hello');
		for (const windowLog of [28, 31, 41]) {
			await t.throwsAsync(inflateAll(way, zstdFrameOf(windowLog, Buffer.from('hello'))), {code: 'RESOURCE_EXHAUSTED', message: /window of more than 128 MiB/v}, String(windowLog));
		}
	});
}

test('a digest that fails fails the layer, with its last piece too', async t => {
	const digest = {
		async update() {
			throw new RangeError('no digest');
		},
	};
	for (const times of [1, 100_000]) {
		const compressed = gzipSync(Buffer.from('a layer'.repeat(times)));
		await t.throwsAsync(inflateAll({open: () => new ZlibDecoder(), inflate: async (source, options, use) => inflateBeside(source, {...options, digest}, use)}, compressed), {message: 'no digest'});
	}
});

test('a digest that lags behind still gets what was made: memory waits for it', async t => {
	const content = Buffer.from(Array.from({length: 400_000}, (_, at) => (at * at) % 241));
	using digest = new Sha256Beside();
	let waiting = 0;
	let most = 0;
	const late = {
		async update(address: bigint | number, length: number) {
			most = Math.max(most, ++waiting);
			await sleep(1);
			await digest.update(BigInt(address), length);
			waiting--;
		},
	};
	const made = await inflateAll({open: () => new ZlibDecoder(), inflate: async (source, options, use) => inflateBeside(source, {...options, digest: late}, use)}, gzipSync(content), {outputBytes: 4096});
	t.is(sha256(made), sha256(content));
	t.is(digest.hex(), sha256(content));
	t.is(most, 1);
});

test('whoever takes the bytes and fails need not wait for more of them', async t => {
	const compressed = gzipSync(Buffer.from(Array.from({length: 100_000}, (_, at) => (at * at) % 239)));
	const source = {
		async read(buffer: Buffer, at: number, signal?: AbortSignal) {
			if (at === 0) {
				return buffer.subarray(0, compressed.copy(buffer, 0, 0, 1000));
			}
			// A download that stands still.
			return new Promise<undefined>((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
		},
	};
	let uses = 0;
	const failing = inflateBeside(source, {open: () => new ZlibDecoder(), inputBytes: 4096, outputBytes: 1024}, () => {
		if (++uses === 3) {
			throw new RangeError('no room');
		}
	});
	await t.throwsAsync(failing, {instanceOf: RangeError, message: 'no room'});
	t.is(uses, 3);
});

test('many at once, each in memory that others had before, do not come across one another', async t => {
	const contents = Array.from({length: 6}, (_, number) => Buffer.from(Array.from({length: 150_000 + number}, (_, at) => (at * (at + number)) % 233)));
	for (const inflate of [inflateBeside, inflateWithin, inflateBeside]) {
		const made = await Promise.all(contents.map(async content => inflateAll({open: () => new ZlibDecoder(), inflate}, gzipSync(content), {inputBytes: 4096, outputBytes: 4096})));
		t.deepEqual(made.map(sha256), contents.map(sha256));
	}
});

function sha256(bytes: Buffer): string {
	return createHash('sha256').update(bytes).digest('hex');
}
