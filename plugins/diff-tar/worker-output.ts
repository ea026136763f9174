import {Socket} from 'node:net';
import {createPipe} from '../../lib/sys/pipe.ts';

const pipeBytes = 1024 * 1024;

/** A pipe that a worker writes into, which closes its end, and what is read of it here. */
export interface WorkerOutput {
	/** Ends both sides. */
	readonly stop: AbortController;
	/** Aborted by `stop`, or by the caller's own signal. */
	readonly ended: AbortSignal;
	readonly writer: number;
	readonly socket: Socket;
}

export function openWorkerOutput(signal: AbortSignal | undefined): WorkerOutput {
	const stop = new AbortController();
	const ended = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
	const {reader, writer} = createPipe(pipeBytes);
	const socket = new Socket({fd: reader, readable: true, writable: false});
	// A worker that waits for its reader is set free by the reader's end.
	ended.addEventListener('abort', () => socket.destroy(), {once: true});
	return {stop, ended, writer, socket};
}
