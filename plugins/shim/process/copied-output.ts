import {closeSync, createWriteStream, fchownSync, fstatSync} from 'node:fs';
import {Socket} from 'node:net';
import type {Writable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {bytesWaiting, createPipe} from '../../../lib/sys/pipe.ts';
import type {OpenOutput} from './open-output.ts';
import {pump, type PumpOptions} from './pump.ts';
import {untilTaken} from './until-taken.ts';

/** Time for the rest to reach a client that reads slowly, or not at all, when the process is to be forgotten; as containerd has it. */
export const forgetMs = 10_000;

/** A pipe that a process writes, and the client's FIFO or file, to which it is copied from the moment in which the process has it. */
export class CopiedOutput {
	/** What the process gets; closed by `letGo`. */
	readonly writer: number;
	readonly #reader: number;
	readonly #target: OpenOutput;
	readonly #options: PumpOptions;
	#isWriterOpen: boolean;
	#isClosed = false;
	#finished: Promise<void> | undefined;
	#streams: readonly (Socket | Writable)[] = [];

	private constructor(reader: number, writer: number | undefined, target: OpenOutput, options: PumpOptions) {
		this.writer = writer ?? -1;
		this.#isWriterOpen = writer !== undefined;
		this.#reader = reader;
		this.#target = target;
		this.#options = options;
	}

	/** @param target owned from now on */
	static create(target: OpenOutput, {uid, gid}: {readonly uid: number; readonly gid: number}, options: PumpOptions): CopiedOutput {
		const {reader, writer} = createPipe();
		if (uid !== 0 || gid !== 0) {
			fchownSync(writer, uid, gid);
		}
		return new CopiedOutput(reader, writer, target, options);
	}

	/** Goes on with the pipe of a shim that is gone; the reader and the target are owned from now on. */
	static resume(reader: number, target: OpenOutput, options: PumpOptions): CopiedOutput {
		const resumed = new CopiedOutput(reader, undefined, target, options);
		resumed.start();
		return resumed;
	}

	/** Where what the process writes comes from, without which it would get SIGPIPE; undefined once it is closed. */
	get reader(): number | undefined {
		return this.#isClosed ? undefined : this.#reader;
	}

	/** Bytes on their way to the client. */
	waiting(): number {
		return this.#isClosed ? 0 : bytesWaiting(this.#reader) + this.#inTarget();
	}

	letGo(): void {
		if (this.#isWriterOpen) {
			this.#isWriterOpen = false;
			closeSync(this.writer);
		}
	}

	/** The process has its end: what it writes is passed on, until the last writer is gone. */
	start(): void {
		this.letGo();
		if (this.#finished !== undefined) {
			return;
		}
		const from = new Socket({fd: this.#reader, readable: true, writable: false});
		const to = toWritable(this.#target.fd);
		// The client is gone, or a file system is full: the process goes on without.
		to.on('error', () => undefined);
		this.#streams = [from, to];
		this.#finished = pump(from, to, this.#options).then(async () => untilTaken(() => this.#inTarget())).then(() => this.#close());
	}

	/** Resolves when the last writer is gone and all is passed on; both ends are closed then. */
	async finish(): Promise<void> {
		this.letGo();
		if (this.#finished === undefined) {
			this.#isClosed = true;
			closeSync(this.#reader);
			closeSync(this.#target.fd);
			this.#closeKept();
			this.#finished = Promise.resolve();
		}
		return this.#finished;
	}

	/** The same, and what is not passed on by then is lost. */
	async forget(): Promise<void> {
		const late = new AbortController();
		await Promise.race([this.finish(), sleep(forgetMs, undefined, {ref: false, signal: late.signal}).catch(() => undefined)]);
		late.abort();
		this.#close();
	}

	#inTarget(): number {
		return this.#target.kept.reduce((sum, fd) => sum + bytesWaiting(fd), 0);
	}

	#close(): void {
		this.#isClosed = true;
		this.#streams.forEach(stream => stream.destroy());
		this.#closeKept();
	}

	#closeKept(): void {
		this.#target.kept.splice(0).forEach(fd => closeSync(fd));
	}
}

/** A FIFO's reader may be slow: never a thread of the pool on it. Node polls FIFOs, and has threads for files. */
export function toWritable(fd: number): Writable {
	return fstatSync(fd).isFIFO() ? new Socket({fd, readable: false, writable: true}) : createWriteStream('', {fd});
}
