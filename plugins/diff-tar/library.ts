import {gzipSync, zstdCompressSync} from 'node:zlib';
import {Inflater, type Decoder, type DecoderMemory} from '../../lib/inflate/inflater.ts';
import {openIsal} from '../../lib/inflate/isal.ts';
import {openZlib} from '../../lib/inflate/zlib.ts';
import {openZstd} from '../../lib/inflate/zstd.ts';

/** Libraries of C that inflate in the thread that calls them. */
export type Library = 'isal' | 'zlib' | 'zstd';

/** Small enough to stay in the processor's caches while they are hashed, read and written. */
const inflatedBytes = 256 * 1024;
const deflatedBytes = 128 * 1024;

const open: Readonly<Record<Library, (memory: DecoderMemory) => Decoder>> = {isal: openIsal, zlib: openZlib, zstd: openZstd};

/** Rejects with INTERNAL where the library is not there. */
export function openInflater(library: Library): Inflater {
	return new Inflater(open[library], deflatedBytes, inflatedBytes);
}

/** It is there, and gives what was put in: one whose structures are others than we believe is as good as none. */
export function canInflate(library: Library): boolean {
	const expected = Buffer.from(Array.from({length: 20_000}, (_, at) => (at * at) % 251));
	const frame = library === 'zstd' ? zstdCompressSync(expected) : gzipSync(expected);
	const compressed = Buffer.concat([frame, frame]);
	const made: Buffer[] = [];
	try {
		using inflater = new Inflater(open[library], 4096, 4096);
		for (let at = 0; at < compressed.length; at += inflater.input.length) {
			inflater.push(compressed.copy(inflater.input, 0, at), bytes => made.push(Buffer.from(bytes)));
		}
		inflater.end();
	} catch {
		return false;
	}
	return Buffer.concat(made).equals(Buffer.concat([expected, expected]));
}
