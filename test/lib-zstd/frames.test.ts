import {randomBytes} from 'node:crypto';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {constants, createZstdDecompress, zstdCompressSync} from 'node:zlib';
import test from 'ava';
import {skippableFrame as skippable} from '../../contracts/diff/lazy-layers.suite.ts';
import {isZstd, splitFrames} from '../../lib/zstd/frames.ts';

type Chunks = readonly Uint8Array[];

async function split(chunks: Chunks): Promise<Chunks> {
	return Array.fromAsync(splitFrames((async function* () {
		yield* chunks;
	})()));
}

async function inflate(chunks: Chunks): Promise<Buffer> {
	const parts: Buffer[] = [];
	await pipeline(splitFrames(Readable.from(chunks)), createZstdDecompress(), async (inflated: AsyncIterable<Buffer>) => {
		for await (const part of inflated) {
			parts.push(part);
		}
	});
	return Buffer.concat(parts);
}

function inPieces(bytes: Buffer, size: number): Chunks {
	return Array.from({length: Math.ceil(bytes.length / size)}, (_, at) => bytes.subarray(at * size, (at + 1) * size));
}

const empty = zstdCompressSync(Buffer.alloc(0));
const text = Buffer.from('the bytes of one frame and then of another ');
const noise = randomBytes(300);
/** One block that repeats a byte. */
const repeated = Buffer.alloc(200_000, 'r');
const checked = {params: {[constants.ZSTD_c_checksumFlag]: 1}};
const unsized = {params: {[constants.ZSTD_c_contentSizeFlag]: 0, [constants.ZSTD_c_checksumFlag]: 1}};
const frames: readonly (readonly [frame: Buffer, holds: Buffer])[] = [
	[skippable(Buffer.from('first')), Buffer.alloc(0)], [zstdCompressSync(text), text], [empty, Buffer.alloc(0)], [zstdCompressSync(noise, checked), noise], [skippable(Buffer.alloc(0), 7), Buffer.alloc(0)],
	[zstdCompressSync(repeated, unsized), repeated], [skippable(Buffer.alloc(40, 0xfd), 15), Buffer.alloc(0)],
];
const whole = Buffer.concat(frames.map(([frame]) => frame));
const holds = Buffer.concat(frames.map(([, bytes]) => bytes));

test('any number of frames are inflated, wherever the stream is cut into two', async t => {
	for (let at = 0; at <= whole.length; at++) {
		t.true(holds.equals(await inflate([whole.subarray(0, at), whole.subarray(at)])), `cut at ${at}`);
	}
});

test('and in pieces of any size, of which each ends where a frame does', async t => {
	const ends = frames.map((_, at) => Buffer.concat(frames.slice(0, at + 1).map(([frame]) => frame)).length);
	for (const size of [1, 2, 3, 4, 5, 7, 8, 13, 64, 100, whole.length]) {
		const pieces = await split(inPieces(whole, size));
		t.true(whole.equals(Buffer.concat(pieces)));
		let at = 0;
		const cuts = new Set(pieces.map(piece => {
			at += piece.length;
			return at;
		}));
		t.true(ends.every(end => cuts.has(end)), `in pieces of ${size}`);
		t.false(pieces.some(({length}) => length === 0));
		t.true(holds.equals(await inflate(inPieces(whole, size))));
	}
});

test('a frame of many blocks is one, at each level and with each header', async t => {
	const large = Buffer.concat([randomBytes(300_000), Buffer.alloc(700_000, 'large '), Buffer.alloc(400_000)]);
	for (const level of [1, 3, 19]) {
		for (const more of [{}, {[constants.ZSTD_c_checksumFlag]: 1}, {[constants.ZSTD_c_contentSizeFlag]: 0}, {[constants.ZSTD_c_windowLog]: 10}]) {
			const frame = zstdCompressSync(large, {params: {[constants.ZSTD_c_compressionLevel]: level, ...more}});
			t.is((await split([frame])).length, 1);
			t.true(Buffer.concat([large, text]).equals(await inflate([Buffer.concat([frame, zstdCompressSync(text)])])));
		}
	}
});

test('sizes of each width in a header are passed over', async t => {
	for (const size of [0, 255, 256, 65_791, 65_792, 5_000_000]) {
		const bytes = Buffer.alloc(size, 'ab');
		t.true(Buffer.concat([bytes, text]).equals(await inflate([Buffer.concat([zstdCompressSync(bytes), zstdCompressSync(text)])])), `${size}`);
	}
});

test('many frames are read with the memory of one', async t => {
	const frame = zstdCompressSync(Buffer.alloc(1_000_000));
	let size = 0;
	const {rss} = process.memoryUsage();
	await pipeline(splitFrames(Readable.from((function* () {
		for (let count = 0; count < 100; count++) {
			yield Buffer.concat([frame, skippable(noise), frame, frame]);
		}
	})())), createZstdDecompress(), async (inflated: AsyncIterable<Buffer>) => {
		for await (const part of inflated) {
			size += part.length;
		}
	});
	t.is(size, 300_000_000);
	t.true(process.memoryUsage().rss - rss < 150_000_000);
});

test('frames that hold nothing, and skippable ones alone, are whole', async t => {
	for (const bytes of [empty, Buffer.concat([empty, empty]), skippable(noise), Buffer.concat([skippable(noise), skippable(noise, 3)])]) {
		t.is((await inflate([bytes])).length, 0);
		t.is((await inflate(inPieces(bytes, 1))).length, 0);
	}
});

test('what is cut short is DATA_LOSS, wherever it is', async t => {
	const ends = new Set([0, ...frames.map((_, at) => Buffer.concat(frames.slice(0, at + 1).map(([frame]) => frame)).length)]);
	for (let at = 0; at < whole.length; at++) {
		if (!ends.has(at)) {
			await t.throwsAsync(split([whole.subarray(0, at)]), {code: 'DATA_LOSS', message: new RegExp(`cut short after ${at} bytes`)}, `cut at ${at}`);
		}
	}
	await t.throwsAsync(split([]), {code: 'DATA_LOSS'});
});

test('what is no frame is DATA_LOSS, also behind those that are', async t => {
	for (const garbage of ['what nobody knows', '\0\0\0\0', '\u001f\u008b\u0008\0', 'ab']) {
		const bytes = Buffer.from(garbage, 'latin1');
		for (const chunks of [[Buffer.concat([whole, bytes])], [whole, bytes], [bytes], inPieces(Buffer.concat([whole, bytes]), 1)]) {
			await t.throwsAsync(split(chunks), {code: 'DATA_LOSS'}, garbage);
		}
	}
	await t.throwsAsync(split([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x07, 0x00, 0x00])]), {code: 'DATA_LOSS', message: /reserved type/});
});

test('the first four bytes tell', t => {
	t.true(isZstd(empty));
	t.true(isZstd(Buffer.concat([noise, whole]).subarray(noise.length)));
	for (let kind = 0; kind < 16; kind++) {
		t.true(isZstd(skippable(noise, kind).subarray(0, 4)));
	}
	for (const other of ['', '(', 'PK', '\u0060\u002a\u004d\u0018', '\u004f\u002a\u004d\u0018', '\u001f\u008b\u0008\0']) {
		t.false(isZstd(Buffer.from(other, 'latin1')), other);
	}
});
