import {open, type FileHandle} from 'node:fs/promises';
import {setTimeout as sleep} from 'node:timers/promises';
import {KeelsonError, isKeelsonError} from '../../kernel/errors.ts';
import type {CallOptions} from '../channel.ts';
import type {Services} from '../services.ts';

export interface LogsOptions extends CallOptions {
	/** Goes on with what comes, until the container's first process has ended, or the signal. */
	readonly follow?: boolean;
	/** Default `stdout`; with `{log}` both go to one file. */
	readonly stream?: 'stdout' | 'stderr';
}

const CHUNK_BYTES = 64 * 1024;
/** A longer line comes in parts. */
const LINE_BYTES_MAX = 1024 * 1024;
const POLL_MS = 100;

/**
 * The lines that a container has printed so far, as its log has them: it must have been started with `stdio: {log: ...}`, on this machine. Rejects with NOT_FOUND
 * where it has no task, FAILED_PRECONDITION where its output is kept in no file.
 */
export async function* logs(services: Pick<Services, 'tasks'>, containerId: string, {follow = false, stream = 'stdout', signal, ...call}: LogsOptions = {}): AsyncGenerator<string, void, undefined> {
	const stop = new AbortController();
	const ended = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
	const {process} = await services.tasks.get({containerId}, {...call, signal: ended});
	const output = process?.[stream] ?? '';
	if (!output.startsWith('file://')) {
		throw new KeelsonError('FAILED_PRECONDITION', `the output of container ${containerId} is kept in no file, but goes to ${output === '' ? 'nowhere' : output}`);
	}
	await using file = await open(new URL(output).pathname);
	// It is asked for before the file is read to its end: what comes after that is all.
	let isOver = !follow;
	const waiting = follow ? services.tasks.wait({containerId}, {...call, signal: ended}).then(() => undefined, unlessGone).finally(() => {
		isOver = true;
	}) : Promise.resolve();
	waiting.catch(() => undefined);
	try {
		const lines = new LineReader(file);
		for (;;) {
			const isLast = isOver;
			yield* lines.read();
			if (isLast) {
				break;
			}
			await sleep(POLL_MS, undefined, {signal: ended}).catch(() => undefined);
			if (signal?.aborted === true) {
				return;
			}
		}
		yield* lines.rest();
		await waiting;
	} finally {
		stop.abort();
	}
}

function unlessGone(error: unknown): void {
	if (!isKeelsonError(error, 'NOT_FOUND')) {
		throw error;
	}
}

/** Lines of a file that grows. */
class LineReader {
	readonly #file: FileHandle;
	readonly #buffer = Buffer.alloc(CHUNK_BYTES);
	readonly #decoder = new TextDecoder();
	#rest = '';

	constructor(file: FileHandle) {
		this.#file = file;
	}

	/** Those that are whole by now. */
	async* read(): AsyncGenerator<string, void, undefined> {
		for (;;) {
			const {bytesRead} = await this.#file.read(this.#buffer, 0, CHUNK_BYTES);
			if (bytesRead === 0) {
				return;
			}
			const parts = (this.#rest + this.#decoder.decode(this.#buffer.subarray(0, bytesRead), {stream: true})).split('\n');
			this.#rest = parts.pop() ?? '';
			yield* parts;
			if (this.#rest.length > LINE_BYTES_MAX) {
				yield* this.rest();
			}
		}
	}

	/** What comes after the last line break, if anything does. */
	* rest(): Generator<string, void, undefined> {
		if (this.#rest !== '') {
			yield this.#rest;
			this.#rest = '';
		}
	}
}
