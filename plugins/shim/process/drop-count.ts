import {writeFileSync} from 'node:fs';
import path from 'node:path';

export const droppedFile = 'stdio-dropped.json';

/** Bytes of a container's output that nobody read in time: into the log, and into the bundle, whenever the sum has doubled, and at the end. */
export class DropCount {
	readonly #bundle: string;
	readonly #log: (message: string) => void;
	readonly #bytes: Record<string, number> = {};
	readonly #told: Record<string, number> = {};

	constructor(bundle: string, log: (message: string) => void) {
		this.#bundle = bundle;
		this.#log = log;
	}

	/** @param stream names process and stream */
	add(stream: string, bytes: number): void {
		const sum = (this.#bytes[stream] ?? 0) + bytes;
		this.#bytes[stream] = sum;
		if (sum >= 2 * (this.#told[stream] ?? 0)) {
			this.tell(stream);
		}
	}

	tell(stream: string): void {
		const sum = this.#bytes[stream] ?? 0;
		if (sum === (this.#told[stream] ?? 0)) {
			return;
		}
		this.#told[stream] = sum;
		this.#log(`${sum} bytes of ${stream} were dropped, since nobody read them`);
		try {
			writeFileSync(path.join(this.#bundle, droppedFile), JSON.stringify(this.#told), {mode: 0o600});
		} catch {
			// The bundle is gone, and with it all need to know.
		}
	}
}
