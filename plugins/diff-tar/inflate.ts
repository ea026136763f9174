import {createHash} from 'node:crypto';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {KeelsonError} from '../../kernel/errors.ts';
import {windowTooLarge} from '../../lib/inflate/zstd.ts';
import {splitFrames} from '../../lib/zstd/frames.ts';
import {findLibrary, type Inflation} from './decompressor.ts';
import type {Compression} from './layer-compression.ts';
import type {LayerSource} from './layer-source.ts';
import {canHashBeside, inflateByLibrary, inflateHashedBeside, type Library} from './library.ts';

/** Large chunks: fewer turns between threads and processes. */
const readBytes = 1024 * 1024;
const inflatedBytes = 256 * 1024;
/** Smaller: each is new, and stays until it is collected. */
const deflatedBytes = 256 * 1024;

/** A library, or node's streams where none can. */
export type Inflater = Library | 'node:zlib';

export interface Inflated {
	/** Undefined where it was not compressed. */
	readonly by: Inflater | undefined;
	/** Hex, of what was handed on. */
	readonly sha256: string;
}

export interface InflateOptions {
	readonly compression: Compression;
	readonly inflation: Inflation;
}

/**
 * Reads a layer to its end and hands on what is inflated, in order; bytes are valid during the call only. Blocks its thread, but not
 * while it waits for bytes that are still to be written: for workers. Rejects with DATA_LOSS where the compressed bytes are damaged or cut short, with RESOURCE_EXHAUSTED for a window of zstd that takes more than 128 MiB,
 * with ABORTED where they were given up, and with what `use` throws.
 * Resolves with what inflated; undefined where it was not compressed.
 */
export async function inflate(source: LayerSource, {compression, inflation}: InflateOptions, use: (bytes: Buffer) => void): Promise<Inflater | undefined> {
	if (compression === 'none') {
		const buffer = Buffer.allocUnsafe(readBytes);
		let at = 0;
		for (let bytes = await source.read(buffer, at); bytes !== undefined; bytes = await source.read(buffer, at)) {
			use(bytes);
			at += bytes.length;
		}
		return undefined;
	}
	const library = await findLibrary(compression, inflation.libraries);
	if (library === undefined) {
		await inflateByStream(source, compression, use);
		return 'node:zlib';
	}
	await inflateByLibrary(source, {library, side: inflation.side}, use);
	return library;
}

/** The same, with the SHA-256 of what is handed on. */
export async function inflateHashed(source: LayerSource, options: InflateOptions, use: (bytes: Buffer) => void): Promise<Inflated> {
	const {compression, inflation: {libraries, side}} = options;
	const library = compression === 'none' || side === 'within' ? undefined : await findLibrary(compression, libraries);
	if (library !== undefined && await canHashBeside()) {
		return {by: library, sha256: await inflateHashedBeside(source, library, use)};
	}
	const hash = createHash('sha256');
	const by = await inflate(source, options, bytes => {
		hash.update(bytes);
		use(bytes);
	});
	return {by, sha256: hash.digest('hex')};
}

async function inflateByStream(source: LayerSource, compression: Exclude<Compression, 'none'>, use: (bytes: Buffer) => void): Promise<void> {
	const stream = compression === 'gzip' ? createGunzip({chunkSize: inflatedBytes}) : createZstdDecompress({chunkSize: inflatedBytes});
	const chunks = readChunks(source);
	try {
		await pipeline(Readable.from(compression === 'zstd' ? splitFrames(chunks) : chunks, {highWaterMark: 1}), stream, async function (inflated: AsyncIterable<Buffer>) {
			for await (const chunk of inflated) {
				use(chunk);
			}
		});
	} catch (error) {
		const code = error instanceof Error && 'code' in error ? String(error.code) : '';
		if (code === 'ZSTD_error_frameParameter_windowTooLarge') {
			throw windowTooLarge(error);
		}
		if (code.startsWith('Z_') || code.startsWith('ZSTD_')) {
			throw new KeelsonError('DATA_LOSS', `the layer's ${compression} is damaged or cut short: ${error instanceof Error ? error.message : code}`, {cause: error});
		}
		throw error;
	}
}

// Each chunk has a buffer of its own: zlib reads it on another thread.
async function * readChunks(source: LayerSource): AsyncIterable<Buffer> {
	let at = 0;
	for (let bytes = await source.read(Buffer.allocUnsafe(deflatedBytes), at); bytes !== undefined; bytes = await source.read(Buffer.allocUnsafe(deflatedBytes), at)) {
		yield bytes;
		at += bytes.length;
	}
}
