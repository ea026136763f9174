import {close, constants, open as openCallback} from 'node:fs';
import {Socket} from 'node:net';
import {PassThrough, type Readable, type Writable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';

// A plain number: a FileHandle would close itself under the socket that reads it.
const open = promisify(openCallback) as (path: string, flags: number) => Promise<number>;

const RETRY_MS = 5;

/**
 * What is written to a FIFO, until its last writer has closed. Opened without waiting for a writer (fifo(7)): the kernel says that a FIFO
 * has ended only once it had one.
 */
export async function readFifo(path: string): Promise<Readable> {
	return new Socket({fd: await open(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false});
}

/**
 * A stream whose bytes go into a FIFO. They wait for a reader, and for room; a reader that went away swallows the rest. Once the stream was
 * ended and all is written, the FIFO is closed and `closed` called; destroying it closes the FIFO at once.
 */
export function writeFifo(path: string, closed: () => Promise<void>): Writable {
	const input = new PassThrough();
	const stop = new AbortController();
	input.once('close', () => stop.abort());
	pump(input, path, stop.signal).then(async () => input.readableEnded ? closed() : undefined).catch((error: unknown) => input.destroy(error instanceof Error ? error : new Error(String(error))));
	return input;
}

async function pump(input: PassThrough, path: string, signal: AbortSignal): Promise<void> {
	const socket = await openWhenRead(path, signal);
	try {
		for await (const chunk of input as AsyncIterable<Buffer>) {
			if (socket !== undefined && !socket.destroyed) {
				const {promise, resolve} = Promise.withResolvers<void>();
				socket.write(chunk, () => resolve());
				await promise;
			}
		}
	} catch (error) {
		// Who destroys the stream knows why.
		if (!input.destroyed) {
			throw error;
		}
	} finally {
		socket?.destroy();
	}
}

// open(2) of a FIFO that nobody reads fails with ENXIO; waiting for a reader in open itself would hold a thread of Node's pool.
async function openWhenRead(path: string, signal: AbortSignal): Promise<Socket | undefined> {
	while (!signal.aborted) {
		try {
			const fd = await open(path, constants.O_WRONLY | constants.O_NONBLOCK);
			if (signal.aborted) {
				close(fd);
				return undefined;
			}
			const socket = new Socket({fd, readable: false, writable: true});
			// EPIPE: the reader has gone, and with it who could want the rest.
			socket.on('error', () => undefined);
			return socket;
		} catch (error) {
			const code = error instanceof Error && 'code' in error ? error.code : undefined;
			if (code === 'ENOENT') {
				return undefined;
			}
			if (code !== 'ENXIO') {
				throw error;
			}
			await sleep(RETRY_MS);
		}
	}
	return undefined;
}
