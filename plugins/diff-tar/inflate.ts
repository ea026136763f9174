import {createHash} from 'node:crypto';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {KeelsonError} from '../../kernel/errors.ts';
import {splitFrames} from '../../lib/zstd/frames.ts';
import {findLibrary, type Inflation} from './decompressor.ts';
import type {Compression} from './layer-compression.ts';
import type {LayerSource} from './layer-source.ts';
import {inflateByLibrary, type Library} from './library.ts';

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
 * while it waits for bytes that are still to be written: for workers. Rejects with DATA_LOSS where the compressed bytes are damaged or cut short, with ABORTED where they were given up, and with what `use` throws.
 */
export async function inflate(source: LayerSource, {compression, inflation}: InflateOptions, use: (bytes: Buffer) => void): Promise<Inflated> {
	if (compression === 'none') {
		const buffer = Buffer.allocUnsafe(readBytes);
		const hash = createHash('sha256');
		let at = 0;
		for (let bytes = await source.read(buffer, at); bytes !== undefined; bytes = await source.read(buffer, at)) {
			hash.update(bytes);
			use(bytes);
			at += bytes.length;
		}
		return {by: undefined, sha256: hash.digest('hex')};
	}
	const library = await findLibrary(compression, inflation.libraries);
	if (library === undefined) {
		return {by: 'node:zlib', sha256: await inflateByStream(source, compression, use)};
	}
	return {by: library, sha256: await inflateByLibrary(source, {library, side: inflation.side}, use)};
}

async function inflateByStream(source: LayerSource, compression: Exclude<Compression, 'none'>, use: (bytes: Buffer) => void): Promise<string> {
	const hash = createHash('sha256');
	const stream = compression === 'gzip' ? createGunzip({chunkSize: inflatedBytes}) : createZstdDecompress({chunkSize: inflatedBytes});
	const chunks = readChunks(source);
	try {
		await pipeline(Readable.from(compression === 'zstd' ? splitFrames(chunks) : chunks, {highWaterMark: 1}), stream, async function (inflated: AsyncIterable<Buffer>) {
			for await (const chunk of inflated) {
				hash.update(chunk);
				use(chunk);
			}
		});
		return hash.digest('hex');
	} catch (error) {
		const code = error instanceof Error && 'code' in error ? String(error.code) : '';
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
