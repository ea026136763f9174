import {addressOf, bindings} from '../sys/libc.ts';
import {damaged, type Decoder, type DecoderMemory, type Step} from './inflater.ts';

/**
 * gzip by the zlib that node is made of, whose functions it has for add-ons. node:zlib works on another thread, and hands each piece from one to the other.
 * Rejects with INTERNAL where node is built without.
 */
export function openZlib({input, output}: DecoderMemory): Decoder {
	return new Zlib(addressOf(input), addressOf(output), output.length);
}

class Zlib implements Decoder {
	/** A z_stream (zlib.h). */
	readonly #stream = Buffer.from(new ArrayBuffer(streamBytes));
	readonly #input: bigint;
	readonly #output: bigint;
	readonly #outputBytes: number;

	constructor(input: bigint, output: bigint, outputBytes: number) {
		this.#input = input;
		this.#output = output;
		this.#outputBytes = outputBytes;
		const result = functions().inflateInit2_(this.#stream, gzipOnly, zlibVersion, streamBytes) as number;
		if (result !== Z_OK) {
			throw damaged(`inflateInit2 says ${result}`);
		}
	}

	reset(): void {
		functions().inflateReset(this.#stream);
	}

	step(from: number, to: number): Step {
		const stream = this.#stream;
		stream.writeBigUInt64LE(this.#input + BigInt(from), field.nextIn);
		stream.writeUInt32LE(to - from, field.availIn);
		stream.writeBigUInt64LE(this.#output, field.nextOut);
		stream.writeUInt32LE(this.#outputBytes, field.availOut);
		const result = functions().inflate(stream, Z_NO_FLUSH) as number;
		if (result !== Z_OK && result !== Z_STREAM_END && result !== Z_BUF_ERROR) {
			throw damaged(`inflate says ${result}`);
		}
		return {
			taken: to - from - stream.readUInt32LE(field.availIn),
			made: this.#outputBytes - stream.readUInt32LE(field.availOut),
			isWhole: result === Z_STREAM_END,
		};
	}

	[Symbol.dispose](): void {
		functions().inflateEnd(this.#stream);
	}
}

/** 15 bits of window, and 16 for a gzip header and nothing else. */
const gzipOnly = 31;
/** Only its first figure is compared. */
const zlibVersion = '1.3';
const Z_NO_FLUSH = 0;
const Z_OK = 0;
const Z_STREAM_END = 1;
const Z_BUF_ERROR = -5;
const streamBytes = 112;
const field = {nextIn: 0, availIn: 8, nextOut: 24, availOut: 32} as const;

const functions = bindings(node => ({
	inflateInit2_: node.func('int inflateInit2_(void *stream, int windowBits, const char *version, int streamSize)'),
	inflate: node.func('int inflate(void *stream, int flush)'),
	inflateReset: node.func('int inflateReset(void *stream)'),
	inflateEnd: node.func('int inflateEnd(void *stream)'),
}), null);
