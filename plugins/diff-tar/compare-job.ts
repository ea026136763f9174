import {createHash} from 'node:crypto';
import {closeSync, writeSync} from 'node:fs';
import {Readable, type Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGzip, createZstdCompress} from 'node:zlib';
import {Descriptor, openAt} from '../../lib/sys/at.ts';
import {AT_FDCWD} from '../../lib/sys/libc.ts';
import type {JobControl} from './apply-job.ts';
import {directoryFlags} from './directory-handles.ts';
import type {Compression} from './layer-compression.ts';
import {LayerWriter} from './layer-writer.ts';
import {compareTrees, readUpper, type Change} from './tree-changes.ts';

/** Where the difference is to be read. */
export type CompareSource =
	| {readonly kind: 'trees'; readonly lower: string | undefined; readonly upper: string}
	| {readonly kind: 'upper'; readonly upper: string; readonly opaque: string};

/** Two trees to compare, as it is sent to a worker. */
export interface CompareJob {
	readonly kind: 'compare';
	readonly source: CompareSource;
	readonly compression: Compression;
	readonly latestNs: bigint | undefined;
	/** Gets the layer; the worker's to close. */
	readonly output: number;
}

export interface CompareJobResult {
	/** Hex of the tar's sha256. */
	readonly sha256: string;
}

/** Writes a layer with synchronous calls: for a worker. Waits where nobody reads. */
export async function runCompare({source, compression, latestNs, output}: CompareJob, {check, progress}: JobControl): Promise<CompareJobResult> {
	try {
		using upper = open(source.upper);
		using lower = source.kind === 'trees' && source.lower !== undefined ? open(source.lower) : undefined;
		const changes: Iterable<Change> = source.kind === 'trees' ? compareTrees(lower?.fd, upper.fd) : readUpper(upper.fd, source.opaque);
		const hash = createHash('sha256');
		let size = 0;
		const tar = function * (): Iterable<Buffer> {
			for (const bytes of new LayerWriter({upper: upper.fd, latestNs}).write(changes)) {
				check();
				hash.update(bytes);
				size += bytes.length;
				progress(size);
				yield bytes;
			}
		};
		await write(tar(), compression, output);
		return {sha256: hash.digest('hex')};
	} finally {
		closeSync(output);
	}
}

async function write(tar: Iterable<Buffer>, compression: Compression, output: number): Promise<void> {
	if (compression === 'none') {
		for (const bytes of tar) {
			writeFully(output, bytes);
		}
		return;
	}
	const stream: Transform = compression === 'gzip' ? createGzip({chunkSize: chunkBytes}) : createZstdCompress({chunkSize: chunkBytes});
	await pipeline(Readable.from(tar), stream, async (source: AsyncIterable<Buffer>) => {
		for await (const bytes of source) {
			writeFully(output, bytes);
		}
	});
}

/** Waits where a pipe is full. */
export function writeFully(fd: number, bytes: Buffer): void {
	for (let at = 0; at < bytes.length;) {
		at += writeSync(fd, bytes, at);
	}
}

function open(path: string): Descriptor {
	return new Descriptor(openAt(AT_FDCWD, path, {flags: directoryFlags}));
}

const chunkBytes = 256 * 1024;
