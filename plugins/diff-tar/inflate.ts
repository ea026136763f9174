import {closeSync, readSync} from 'node:fs';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {KeelsonError} from '../../kernel/errors.ts';
import {createPipe} from '../../lib/sys/pipe.ts';
import {waitForChild} from '../../lib/sys/process.ts';
import {spawnProcess} from '../../lib/sys/spawn.ts';
import type {Program} from './decompressor.ts';
import type {Compression} from './layer-compression.ts';

/** Large chunks: fewer turns between threads and processes. */
const readBytes = 1024 * 1024;
const inflatedBytes = 256 * 1024;

export interface InflateOptions {
	readonly compression: Compression;
	/** Does the work in a process of its own; undefined: here. */
	readonly program: Program | undefined;
}

/**
 * Reads a descriptor to its end and hands on what is inflated, in order; bytes are valid during the call only. Blocks its thread: for
 * workers. Rejects with DATA_LOSS where the compressed bytes are damaged or cut short, and with what `use` throws.
 */
export async function inflate(fd: number, {compression, program}: InflateOptions, use: (bytes: Buffer) => void): Promise<void> {
	if (compression === 'none') {
		readAll(fd, use);
		return;
	}
	if (program !== undefined) {
		await inflateByProgram(fd, program, use);
		return;
	}
	const stream = compression === 'gzip' ? createGunzip({chunkSize: inflatedBytes}) : createZstdDecompress({chunkSize: inflatedBytes});
	try {
		await pipeline(Readable.from(readChunks(fd), {highWaterMark: 1}), stream, async function (source: AsyncIterable<Buffer>) {
			for await (const chunk of source) {
				use(chunk);
			}
		});
	} catch (error) {
		const code = error instanceof Error && 'code' in error ? String(error.code) : '';
		if (code.startsWith('Z_') || code.startsWith('ZSTD_')) {
			throw new KeelsonError('DATA_LOSS', `the layer's ${compression} is damaged or cut short: ${error instanceof Error ? error.message : code}`, {cause: error});
		}
		throw error;
	}
}

async function inflateByProgram(fd: number, program: Program, use: (bytes: Buffer) => void): Promise<void> {
	const output = createPipe(readBytes);
	let pid: number;
	try {
		pid = spawnProcess(program.path, program.args, {fds: {0: fd, 1: output.writer}});
	} catch (error) {
		closeSync(output.reader);
		throw error;
	} finally {
		closeSync(output.writer);
	}
	let isRead = false;
	try {
		readAll(output.reader, use);
		isRead = true;
	} finally {
		closeSync(output.reader);
		if (!isRead) {
			process.kill(pid, 'SIGKILL');
		}
		const {exitCode, signal} = await waitForChild(pid);
		if (isRead && exitCode !== 0) {
			// oxlint-disable-next-line no-unsafe-finally -- nothing else was thrown when all was read
			throw new KeelsonError('DATA_LOSS', `the layer is damaged or cut short: ${program.path} ended with ${signal ?? exitCode}`);
		}
	}
}

function readAll(fd: number, use: (bytes: Buffer) => void): void {
	const buffer = Buffer.allocUnsafe(readBytes);
	for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
		use(buffer.subarray(0, length));
	}
}

// Each chunk has a buffer of its own: zlib reads it on another thread.
function * readChunks(fd: number): Iterable<Buffer> {
	for (;;) {
		const buffer = Buffer.allocUnsafe(readBytes);
		const length = readSync(fd, buffer);
		if (length === 0) {
			return;
		}
		yield buffer.subarray(0, length);
	}
}
