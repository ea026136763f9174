import {open} from 'node:fs/promises';
import {Growth} from '../../contracts/content/growth.ts';
import type {LayerBytes} from '../../contracts/diff/diff.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {createPipe} from '../../lib/sys/pipe.ts';
import {fillPipe} from './fill-pipe.ts';
import {decideCompression, magicBytes, type Compression} from './layer-compression.ts';

/** A layer's bytes where a worker can read them. */
export interface LayerInput {
	readonly input: string | number;
	readonly growth: SharedArrayBuffer | undefined;
	readonly compression: Compression;
	/** Resolves when the source has been read to its end, or nobody wants more of it. Rejects with what the source rejected with. */
	readonly done: Promise<void>;
}

const pipeBytes = 1024 * 1024;
/** So long a growing file is waited for until it is asked whether anybody still wants it. */
const waitMs = 250;

/**
 * Opens a layer: by its file, or through a pipe that is filled as fast as the worker reads. Rejects with UNIMPLEMENTED and
 * INVALID_ARGUMENT as decideCompression does. When `signal` is aborted the pipe ends early.
 */
export async function openLayer(layer: LayerBytes, signal: AbortSignal): Promise<LayerInput> {
	const {descriptor: {mediaType}, file, growth} = layer;
	if (file !== undefined) {
		if (growth !== undefined) {
			await untilItHasBegun(new Growth(growth), signal);
		}
		return {input: file, growth, compression: decideCompression(mediaType, await firstBytes(file)), done: Promise.resolve()};
	}
	// Says whether the type can be unpacked before a byte is asked for.
	const bytes = layer.read(signal)[Symbol.asyncIterator]();
	const head: Uint8Array[] = [];
	try {
		for (let length = 0; length < magicBytes;) {
			const {value, done} = await bytes.next();
			if (done === true) {
				break;
			}
			head.push(value);
			length += value.length;
		}
		const compression = decideCompression(mediaType, Buffer.concat(head));
		const pipe = createPipe(pipeBytes);
		return {input: pipe.reader, growth: undefined, compression, done: fillPipe(pipe.writer, rest(head, bytes), signal)};
	} catch (error) {
		await bytes.return?.();
		throw error;
	}
}

async function * rest(head: readonly Uint8Array[], bytes: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
	try {
		yield * head;
		for (let next = await bytes.next(); next.done !== true; next = await bytes.next()) {
			yield next.value;
		}
	} finally {
		await bytes.return?.();
	}
}

async function untilItHasBegun(growth: Growth, signal: AbortSignal): Promise<void> {
	for (let {changes} = growth; growth.bytes < magicBytes && !growth.isWhole; {changes} = growth) {
		signal.throwIfAborted();
		if (growth.isAbandoned) {
			throw new KeelsonError('ABORTED', 'the bytes of a layer were given up before it was applied');
		}
		await growth.changed(changes, waitMs);
	}
}

async function firstBytes(file: string): Promise<Uint8Array> {
	await using handle = await open(file);
	const buffer = Buffer.alloc(magicBytes);
	const {bytesRead} = await handle.read(buffer, 0, magicBytes, 0);
	return buffer.subarray(0, bytesRead);
}
