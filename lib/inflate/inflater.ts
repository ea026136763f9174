import {KeelsonError} from '../../kernel/errors.ts';

/** What one step did. */
export interface Step {
	/** Bytes of the input that are used up. */
	readonly taken: number;
	/** Bytes at the start of the output. */
	readonly made: number;
	/** A member or frame is whole: what follows begins another one. */
	readonly isWhole: boolean;
}

/** One decoder, with its state outside of the heap. Its step takes what is between two places of the input, and rejects with DATA_LOSS where that is damaged. */
export interface Decoder extends Disposable {
	step(from: number, to: number): Step;
	/** Begins the next member or frame. */
	reset(): void;
}

/** Where a decoder reads and writes: memory that no heap moves. */
export interface DecoderMemory {
	readonly input: Buffer;
	readonly output: Buffer;
}

/**
 * Inflates in the caller's thread, piece by piece, members and frames one after another. What follows the last one must be another: anything else is refused,
 * as containerd's decoders do.
 */
export class Inflater implements Disposable {
	/** To be filled before `push`. */
	readonly input: Buffer;
	readonly #output: Buffer;
	readonly #decoder: Decoder;
	#isWhole = false;

	/** @param inputBytes at most so many are pushed at once. @param outputBytes at most so many are handed on at once */
	constructor(open: (memory: DecoderMemory) => Decoder, inputBytes: number, outputBytes: number) {
		this.input = Buffer.allocUnsafeSlow(inputBytes);
		this.#output = Buffer.allocUnsafeSlow(outputBytes);
		this.#decoder = open({input: this.input, output: this.#output});
	}

	/** Takes so many bytes of the input; what is handed on is valid during the call. Rejects with DATA_LOSS where they are damaged, and with what `use` throws. */
	push(length: number, use: (bytes: Buffer) => void): void {
		for (let at = 0, isFull = false; at < length || isFull;) {
			if (this.#isWhole) {
				this.#decoder.reset();
				this.#isWhole = false;
			}
			const {taken, made, isWhole} = this.#decoder.step(at, length);
			at += taken;
			this.#isWhole = isWhole;
			isFull = !isWhole && made === this.#output.length;
			if (made > 0) {
				use(this.#output.subarray(0, made));
			} else if (taken === 0 && !isWhole && at < length) {
				throw damaged('its bytes lead nowhere');
			}
		}
	}

	/** Says that nothing follows. Rejects with DATA_LOSS where a member or frame is cut short, or there was none. */
	end(): void {
		if (!this.#isWhole) {
			throw damaged('it is cut short');
		}
	}

	[Symbol.dispose](): void {
		this.#decoder[Symbol.dispose]();
	}
}

export function damaged(why: string): KeelsonError {
	return new KeelsonError('DATA_LOSS', `the compressed bytes are damaged: ${why}`);
}
