import {KeelsonError} from '../../kernel/errors.ts';

/** A byte that says whether the message is compressed, then its length, big-endian. */
const PREFIX_BYTES = 5;

/** Finds the messages in a stream's bytes (gRPC over HTTP2, Length-Prefixed-Message). Holds no more than one message that is not whole yet. */
export class MessageReader {
	readonly #bytesMax: number;
	#parts: Buffer[] = [];
	#bytes = 0;

	/** @param bytesMax of one message */
	constructor(bytesMax: number) {
		this.#bytesMax = bytesMax;
	}

	/** Whether a message has begun and is not whole. */
	get isInside(): boolean {
		return this.#bytes > 0;
	}

	/**
	 * Takes the next bytes and yields the messages that are whole by now, each as the parts that it came in, at least one. Throws RESOURCE_EXHAUSTED as soon as a length is announced that is over the
	 * limit, UNIMPLEMENTED for a compressed message: no coding is offered.
	 */
	*push(chunk: Buffer): Generator<readonly Buffer[], void, undefined> {
		this.#parts.push(chunk);
		this.#bytes += chunk.byteLength;
		while (this.#bytes >= PREFIX_BYTES) {
			if ((this.#parts[0]?.byteLength ?? 0) < PREFIX_BYTES) {
				this.#parts = [Buffer.concat(this.#parts)];
			}
			const [first] = this.#parts as [Buffer];
			const size = first.readUInt32BE(1);
			if (first[0] !== 0) {
				throw new KeelsonError('UNIMPLEMENTED', 'a message is compressed, and no coding is offered');
			}
			if (size > this.#bytesMax) {
				throw new KeelsonError('RESOURCE_EXHAUSTED', `received message larger than max (${size} vs. ${this.#bytesMax})`);
			}
			const end = PREFIX_BYTES + size;
			if (this.#bytes < end) {
				return;
			}
			yield this.#take(end);
		}
	}

	/** The first message, without its prefix; what follows it stays. */
	#take(end: number): readonly Buffer[] {
		this.#bytes -= end;
		const parts = this.#parts;
		const last = parts.at(-1) ?? Buffer.alloc(0);
		// All but the last chunk belong to it: there was no whole message before that one came.
		const rest = last.subarray(last.byteLength - this.#bytes);
		this.#parts = rest.byteLength > 0 ? [rest] : [];
		parts[parts.length - 1] = last.subarray(0, last.byteLength - rest.byteLength);
		const [first = last] = parts;
		return [first.subarray(PREFIX_BYTES), ...parts.slice(1)];
	}
}

/** The prefix of a message of `size` bytes. */
export function writePrefix(into: Buffer, size: number): void {
	into[0] = 0;
	into.writeUInt32BE(size, 1);
}

export {PREFIX_BYTES};
