import {closeSync} from 'node:fs';
import {Socket} from 'node:net';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {errnoOf} from '../../lib/sys/libc.ts';

/**
 * Writes bytes into a pipe, whose end is closed in any case. Resolves when all is written, or the reader wants no more of it. Rejects with what the
 * source rejects with, and when `signal` is aborted.
 */
export async function fillPipe(writer: number, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
	let socket: Socket;
	try {
		socket = new Socket({fd: writer, readable: false, writable: true});
	} catch (error) {
		closeSync(writer);
		throw error;
	}
	try {
		await pipeline(Readable.from(bytes, {objectMode: true, highWaterMark: 1}), socket, {signal});
	} catch (error) {
		// The reader has had enough, and says why.
		const isUnwanted = errnoOf(error) === 'EPIPE' || errnoOf(error) === 'ECONNRESET';
		if (!isUnwanted) {
			throw error;
		}
	}
}
