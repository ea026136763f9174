import {createHash} from 'node:crypto';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {addressOf} from '../../lib/sys/libc.ts';
import {inflateBeside, inflateWithin, type Decoder, type InflaterOptions, type Source} from '../../lib/inflate/inflater.ts';
import {IsalDecoder} from '../../lib/inflate/isal.ts';
import {Sha256Beside} from '../../lib/inflate/sha256-beside.ts';
import {ZlibDecoder} from '../../lib/inflate/zlib.ts';
import {ZstdDecoder} from '../../lib/inflate/zstd.ts';

/** Libraries of C that inflate without a process of their own. */
export type Library = 'isal' | 'zlib' | 'zstd';

/** Where: in the thread that unpacks, or beside it on one of the pool. */
export type Side = 'within' | 'beside';

const pieces: Readonly<Record<Side, {readonly inputBytes: number; readonly outputBytes: number}>> = {
	// Small enough to stay in the processor's caches while they are hashed, read and written.
	within: {inputBytes: 128 * 1024, outputBytes: 256 * 1024},
	// Each costs two threads a wake-up, which on a virtual machine takes as long as inflating a tenth of a megabyte.
	beside: {inputBytes: 1024 * 1024, outputBytes: 2 * 1024 * 1024},
};

const open: Readonly<Record<Library, () => Decoder>> = {isal: () => new IsalDecoder(), zlib: () => new ZlibDecoder(), zstd: () => new ZstdDecoder()};
const inflateAt: Readonly<Record<Side, typeof inflateWithin>> = {within: inflateWithin, beside: inflateBeside};

/** Rejects with DATA_LOSS where bytes are damaged or cut short, with RESOURCE_EXHAUSTED as `inflate` does, and with what the source and `use` reject with. */
export async function inflateByLibrary(source: Source, {library, side}: {readonly library: Library; readonly side: Side}, use: (bytes: Buffer) => void): Promise<void> {
	await inflateAt[side](source, optionsOf(library, side), use);
}

/** Beside, where it is hashed too; to be used after `canHashBeside` only. Resolves with the hex of the SHA-256 of what is inflated. */
export async function inflateHashedBeside(source: Source, library: Library, use: (bytes: Buffer) => void): Promise<string> {
	using digest = new Sha256Beside();
	await inflateBeside(source, {...optionsOf(library, 'beside'), digest}, use);
	return digest.hex();
}

let trialOfHash: Promise<boolean> | undefined;

/** OpenSSL's functions are there, and make of some bytes what node:crypto makes of them. */
export async function canHashBeside(): Promise<boolean> {
	return trialOfHash ??= tryHash();
}

async function tryHash(): Promise<boolean> {
	const bytes = Buffer.allocUnsafeSlow(1000).fill('a layer');
	try {
		using digest = new Sha256Beside();
		await digest.update(addressOf(bytes), bytes.length);
		await digest.update(addressOf(bytes), 500);
		return digest.hex() === createHash('sha256').update(bytes).update(bytes.subarray(0, 500)).digest('hex');
	} catch {
		return false;
	}
}

/** It is there, and gives what was put in: one whose structures are others than we believe is as good as none. */
export async function canInflate(library: Library): Promise<boolean> {
	const expected = Buffer.from(Array.from({length: 20_000}, (_, at) => (at * at) % 251));
	const frame = library === 'zstd' ? zstdCompressSync(expected) : gzipSync(expected);
	const compressed = Buffer.concat([frame, frame]);
	const made: Buffer[] = [];
	const source: Source = {
		async read(buffer, at) {
			const length = compressed.copy(buffer, 0, at);
			return length === 0 ? undefined : buffer.subarray(0, length);
		},
	};
	try {
		await inflateWithin(source, {...optionsOf(library, 'within'), inputBytes: 4096, outputBytes: 4096}, bytes => made.push(Buffer.from(bytes)));
	} catch {
		return false;
	}
	return Buffer.concat(made).equals(Buffer.concat([expected, expected]));
}

function optionsOf(library: Library, side: Side): InflaterOptions {
	return {open: open[library], ...pieces[side]};
}
