import {closeSync} from 'node:fs';
import {Socket} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {createPipe} from '../../../lib/sys/pipe.ts';

/** Time for the rest to reach a client that reads slowly, or not at all. */
const drainMs = 2000;

/**
 * A pipe before a FIFO, copied from the moment in which the process has it. A runtime says on its own standard error, which is the process's,
 * why it failed, beside the log where we read it: that is not for the client.
 */
export class HeldBack {
	/** What the process gets; closed by `letGo`. */
	readonly writer: number;
	readonly #reader: number;
	readonly #fifo: number;
	#isWriterOpen = true;
	#copied: Promise<void> | undefined;
	#streams: readonly Socket[] = [];

	/** @param fifo a descriptor to write to, owned from now on */
	constructor(fifo: number) {
		const {reader, writer} = createPipe();
		this.writer = writer;
		this.#reader = reader;
		this.#fifo = fifo;
	}

	letGo(): void {
		if (this.#isWriterOpen) {
			this.#isWriterOpen = false;
			closeSync(this.writer);
		}
	}

	/** The process has its end: what it writes is passed on. */
	start(): void {
		this.letGo();
		const from = new Socket({fd: this.#reader, readable: true, writable: false});
		const to = new Socket({fd: this.#fifo, readable: false, writable: true});
		to.on('error', () => undefined);
		this.#streams = [from, to];
		this.#copied = (async () => {
			try {
				for await (const chunk of from as AsyncIterable<Buffer>) {
					await new Promise<void>(resolve => to.write(chunk, () => resolve()));
				}
			} catch {
				// Destroyed by `finish`.
			}
		})();
	}

	/** Passes on what is left, and closes both. */
	async finish(): Promise<void> {
		this.letGo();
		if (this.#copied === undefined) {
			closeSync(this.#reader);
			closeSync(this.#fifo);
			this.#copied = Promise.resolve();
			return;
		}
		await Promise.race([this.#copied, sleep(drainMs, undefined, {ref: false})]);
		this.#streams.forEach(stream => stream.destroy());
	}
}
