import {addressOf, bindings} from '../sys/libc.ts';
import {damaged, type Decoder, type DecoderMemory, type Step} from './inflater.ts';

/** zstd by the library that node is made of; windows of up to 128 MiB, its default. Rejects with INTERNAL where node is built without. */
export function openZstd({input, output}: DecoderMemory): Decoder {
	return new Zstd(addressOf(input), input.length, addressOf(output), output.length);
}

class Zstd implements Decoder {
	readonly #context: unknown;
	/** A ZSTD_inBuffer and a ZSTD_outBuffer (zstd.h): where, how much, how far. */
	readonly #input = Buffer.from(new ArrayBuffer(24));
	readonly #output = Buffer.from(new ArrayBuffer(24));

	constructor(input: bigint, inputBytes: number, output: bigint, outputBytes: number) {
		this.#input.writeBigUInt64LE(input, 0);
		this.#input.writeBigUInt64LE(BigInt(inputBytes), 8);
		this.#output.writeBigUInt64LE(output, 0);
		this.#output.writeBigUInt64LE(BigInt(outputBytes), 8);
		this.#context = functions().ZSTD_createDCtx();
		if (this.#context === null) {
			throw damaged('there is no memory for a decoder');
		}
	}

	reset(): void {
		// It begins the next frame by itself.
	}

	step(from: number, to: number): Step {
		this.#input.writeBigUInt64LE(BigInt(to), 8);
		this.#input.writeBigUInt64LE(BigInt(from), 16);
		this.#output.writeBigUInt64LE(0n, 16);
		const result = functions().ZSTD_decompressStream(this.#context, this.#output, this.#input) as number | bigint;
		if (functions().ZSTD_isError(result) !== 0) {
			throw damaged(String(functions().ZSTD_getErrorName(result)));
		}
		return {taken: Number(this.#input.readBigUInt64LE(16)) - from, made: Number(this.#output.readBigUInt64LE(16)), isWhole: result === 0};
	}

	[Symbol.dispose](): void {
		functions().ZSTD_freeDCtx(this.#context);
	}
}

const functions = bindings(node => ({
	ZSTD_createDCtx: node.func('void *ZSTD_createDCtx()'),
	ZSTD_freeDCtx: node.func('size_t ZSTD_freeDCtx(void *context)'),
	ZSTD_decompressStream: node.func('size_t ZSTD_decompressStream(void *context, void *output, void *input)'),
	ZSTD_isError: node.func('uint ZSTD_isError(size_t code)'),
	ZSTD_getErrorName: node.func('const char *ZSTD_getErrorName(size_t code)'),
}), null);
