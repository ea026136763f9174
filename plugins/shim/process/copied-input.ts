import {closeSync, openSync} from 'node:fs';
import {Socket} from 'node:net';
import {createPipe, type Pipe} from '../../../lib/sys/pipe.ts';
import {pump, waiting} from './pump.ts';

/** A pipe that a process reads, and the client's FIFO, from which it is filled. */
export class CopiedInput {
	/** What the process gets; closed by `start`. */
	readonly reader: number;
	readonly #writer: number;
	readonly #source: number;
	#state: 'open' | 'started' | 'closed' = 'open';
	#streams: readonly Socket[] = [];

	private constructor(source: number, {reader, writer}: Pipe) {
		this.reader = reader;
		this.#writer = writer;
		this.#source = source;
	}

	/** @param source a descriptor of the client's FIFO to read from, owned from now on */
	static create(source: number): CopiedInput {
		return new CopiedInput(source, createPipe());
	}

	/** Goes on with the pipe of a shim that is gone; both descriptors are owned from now on. */
	static resume(source: number, writer: number): CopiedInput {
		const resumed = new CopiedInput(source, {reader: openSync('/dev/null', 'r'), writer});
		resumed.start();
		return resumed;
	}

	/** Without which the process would see the end; undefined once it is closed. */
	get writer(): number | undefined {
		return this.#state === 'closed' ? undefined : this.#writer;
	}

	/** The process has its end. It sees the end when the client's last writer is gone, ours included. */
	start(): void {
		if (this.#state !== 'open') {
			return;
		}
		this.#state = 'started';
		closeSync(this.reader);
		const from = new Socket({fd: this.#source, readable: true, writable: false});
		const to = new Socket({fd: this.#writer, readable: false, writable: true});
		// A process that reads no more.
		to.on('error', () => undefined);
		this.#streams = [from, to];
		void pump(from, to, waiting).then(() => to.destroy());
	}

	close(): void {
		if (this.#state === 'open') {
			[this.reader, this.#writer, this.#source].forEach(fd => closeSync(fd));
		}
		this.#streams.forEach(stream => stream.destroy());
		this.#state = 'closed';
	}
}
