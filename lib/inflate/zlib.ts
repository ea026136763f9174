import {bindings, inPool} from '../sys/libc.ts';
import {damaged, type Decoder, type Place, type Step} from './inflater.ts';
import {movedIn, pointTo} from './stream-state.ts';

/**
 * gzip by the zlib that node is made of, whose functions it has for add-ons. node:zlib takes new memory for each piece, and where page faults are dear they cost more
 * than inflating. Throws where node is built without.
 */
export class ZlibDecoder implements Decoder {
	/** A z_stream (zlib.h), which must not move. */
	readonly #stream = Buffer.from(new ArrayBuffer(streamBytes));

	constructor() {
		const result = functions().inflateInit2_(this.#stream, gzipOnly, zlibVersion, streamBytes) as number;
		if (result !== Z_OK) {
			throw damaged(`inflateInit2 says ${result}`);
		}
	}

	reset(): void {
		functions().inflateReset(this.#stream);
	}

	step(place: Place): Step {
		pointTo(this.#stream, field, place);
		return this.#done(place, functions().inflate(this.#stream, Z_NO_FLUSH) as number);
	}

	async stepBeside(place: Place): Promise<Step> {
		pointTo(this.#stream, field, place);
		return this.#done(place, (await inPool(functions().inflate, [this.#stream, Z_NO_FLUSH])).result);
	}

	[Symbol.dispose](): void {
		functions().inflateEnd(this.#stream);
	}

	#done(place: Place, result: number): Step {
		if (result !== Z_OK && result !== Z_STREAM_END && result !== Z_BUF_ERROR) {
			throw damaged(`inflate says ${result}`);
		}
		return {...movedIn(this.#stream, field, place), isWhole: result === Z_STREAM_END};
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
