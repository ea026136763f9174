import {closeSync, constants, openSync, readSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';

/** Reads a FIFO as a client does that comes when it likes, and goes. */
export class FifoReader implements Disposable {
	readonly path: string;
	readonly #chunk = Buffer.alloc(1024 * 1024);
	#fd: number | undefined;
	/** All that was read, by whichever opening. */
	text = '';
	isAtEnd = false;

	/** Comes at once. */
	constructor(path: string) {
		this.path = path;
		this.come();
	}

	come(): void {
		this.#fd ??= openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
	}

	go(): void {
		if (this.#fd !== undefined) {
			closeSync(this.#fd);
			this.#fd = undefined;
		}
	}

	/** One read; undefined where nothing waits. Empty at the end, when no writer is left. */
	chunk(bytes = this.#chunk.length): Buffer | undefined {
		try {
			return this.#chunk.subarray(0, readSync(this.#fd ?? -1, this.#chunk, 0, bytes, null));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
				return undefined;
			}
			throw error;
		}
	}

	/** All that waits is added to `text`. */
	read(): string {
		for (let chunk = this.chunk(); chunk !== undefined; chunk = this.chunk()) {
			if (chunk.length === 0) {
				this.isAtEnd = true;
				break;
			}
			this.text += chunk.toString('latin1');
		}
		return this.text;
	}

	/** Passes chunks on until the end. Rejects when there is none in time. */
	async toEnd(take: (chunk: Buffer) => void, timeoutMs = 60_000): Promise<void> {
		for (const end = performance.now() + timeoutMs; performance.now() < end;) {
			const chunk = this.chunk();
			if (chunk === undefined) {
				await sleep(2);
			} else if (chunk.length === 0) {
				return;
			} else {
				take(chunk);
			}
		}
		throw new Error(`no end of ${this.path} after ${timeoutMs} ms`);
	}

	[Symbol.dispose](): void {
		this.go();
	}
}
