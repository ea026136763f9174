import {KeelsonError} from '../../kernel/errors.ts';
import {bindings, inPool} from '../sys/libc.ts';
import {damaged, type Decoder, type Place, type Step} from './inflater.ts';

/**
 * zstd by the library that node is made of. Throws where node is built without. A frame whose window is larger than 128 MiB, the library's default, is refused with
 * RESOURCE_EXHAUSTED: that much memory its decoder would take.
 */
export class ZstdDecoder implements Decoder {
	readonly #context: unknown;
	/** A ZSTD_inBuffer and a ZSTD_outBuffer (zstd.h): where, how much, how far. */
	readonly #input = Buffer.from(new ArrayBuffer(24));
	readonly #output = Buffer.from(new ArrayBuffer(24));

	constructor() {
		this.#context = functions().ZSTD_createDCtx();
		if (this.#context === null) {
			throw damaged('there is no memory for a decoder');
		}
	}

	reset(): void {
		// It begins the next frame by itself.
	}

	step(place: Place): Step {
		this.#point(place);
		return this.#done(functions().ZSTD_decompressStream(this.#context, this.#output, this.#input) as number | bigint);
	}

	async stepBeside(place: Place): Promise<Step> {
		this.#point(place);
		return this.#done((await inPool(functions().ZSTD_decompressStream, [this.#context, this.#output, this.#input])).result);
	}

	[Symbol.dispose](): void {
		functions().ZSTD_freeDCtx(this.#context);
	}

	#point({input, inputBytes, output, outputBytes}: Place): void {
		pointTo(this.#input, input, inputBytes);
		pointTo(this.#output, output, outputBytes);
	}

	#done(result: number | bigint): Step {
		if (functions().ZSTD_isError(result) !== 0) {
			if (functions().ZSTD_getErrorCode(result) === WINDOW_TOO_LARGE) {
				throw windowTooLarge();
			}
			throw damaged(String(functions().ZSTD_getErrorName(result)));
		}
		return {taken: Number(this.#input.readBigUInt64LE(16)), made: Number(this.#output.readBigUInt64LE(16)), isWhole: result === 0};
	}
}

/** Of a frame that asks for more memory than any decoder here takes. */
export function windowTooLarge(cause?: unknown): KeelsonError {
	return new KeelsonError('RESOURCE_EXHAUSTED', 'a frame of zstd has a window of more than 128 MiB, which is the most that is decoded', cause === undefined ? {} : {cause});
}

/** ZSTD_error_frameParameter_windowTooLarge, of zstd_errors.h. */
const WINDOW_TOO_LARGE = 16;

function pointTo(buffer: Buffer, address: bigint, size: number): void {
	buffer.writeBigUInt64LE(address, 0);
	buffer.writeBigUInt64LE(BigInt(size), 8);
	buffer.writeBigUInt64LE(0n, 16);
}

const functions = bindings(node => ({
	ZSTD_createDCtx: node.func('void *ZSTD_createDCtx()'),
	ZSTD_freeDCtx: node.func('size_t ZSTD_freeDCtx(void *context)'),
	ZSTD_decompressStream: node.func('size_t ZSTD_decompressStream(void *context, void *output, void *input)'),
	ZSTD_isError: node.func('uint ZSTD_isError(size_t code)'),
	ZSTD_getErrorCode: node.func('int ZSTD_getErrorCode(size_t code)'),
	ZSTD_getErrorName: node.func('const char *ZSTD_getErrorName(size_t code)'),
}), null);
