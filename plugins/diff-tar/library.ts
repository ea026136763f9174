import {gzipSync, zstdCompressSync} from 'node:zlib';
import {inflateBeside, inflateWithin, type Decoder, type InflaterOptions, type Source} from '../../lib/inflate/inflater.ts';
import {IsalDecoder} from '../../lib/inflate/isal.ts';
import {ZlibDecoder} from '../../lib/inflate/zlib.ts';
import {ZstdDecoder} from '../../lib/inflate/zstd.ts';

/** Libraries of C that inflate without a process of their own. */
export type Library = 'isal' | 'zlib' | 'zstd';

/** Where: in the thread that unpacks, or beside it on one of the pool. */
export type Side = 'within' | 'beside';

/** Small enough to stay in the processor's caches while they are hashed, read and written. */
const inflatedBytes = 256 * 1024;
const deflatedBytes = 128 * 1024;

const open: Readonly<Record<Library, () => Decoder>> = {isal: () => new IsalDecoder(), zlib: () => new ZlibDecoder(), zstd: () => new ZstdDecoder()};
const inflateAt: Readonly<Record<Side, typeof inflateWithin>> = {within: inflateWithin, beside: inflateBeside};

/** Rejects with DATA_LOSS where bytes are damaged or cut short, and with what the source and `use` reject with. */
export async function inflateByLibrary(source: Source, {library, side}: {readonly library: Library; readonly side: Side}, use: (bytes: Buffer) => void): Promise<void> {
	await inflateAt[side](source, optionsOf(library), use);
}

/** It is there, and gives what was put in: one whose structures are others than we believe is as good as none. */
export async function canInflate(library: Library): Promise<boolean> {
	const expected = Buffer.from(Array.from({length: 20_000}, (_, at) => (at * at) % 251));
	const frame = library === 'zstd' ? zstdCompressSync(expected) : gzipSync(expected);
	const compressed = Buffer.concat([frame, frame]);
	const made: Buffer[] = [];
	const source: Source = {
		isReady: () => true,
		async read(buffer, at) {
			const length = compressed.copy(buffer, 0, at);
			return length === 0 ? undefined : buffer.subarray(0, length);
		},
	};
	try {
		await inflateWithin(source, {...optionsOf(library), inputBytes: 4096, outputBytes: 4096}, bytes => made.push(Buffer.from(bytes)));
	} catch {
		return false;
	}
	return Buffer.concat(made).equals(Buffer.concat([expected, expected]));
}

function optionsOf(library: Library): InflaterOptions {
	return {open: open[library], inputBytes: deflatedBytes, outputBytes: inflatedBytes};
}
