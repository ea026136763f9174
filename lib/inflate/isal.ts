import {addressOf, bindings} from '../sys/libc.ts';
import {damaged, type Decoder, type DecoderMemory, type Step} from './inflater.ts';

/**
 * gzip by ISA-L's isal_inflate, which igzip is made of. Rejects with INTERNAL where there is no libisal.so.2. Its state is a structure of the caller's (igzip_lib.h,
 * 2.23 to 2.31): whoever uses it tries first whether its fields are where they are sought.
 */
export function openIsal({input, output}: DecoderMemory): Decoder {
	return new Isal(addressOf(input), addressOf(output), output.length);
}

class Isal implements Decoder {
	readonly #state = Buffer.allocUnsafeSlow(stateBytes);
	readonly #input: bigint;
	readonly #output: bigint;
	readonly #outputBytes: number;

	constructor(input: bigint, output: bigint, outputBytes: number) {
		this.#input = input;
		this.#output = output;
		this.#outputBytes = outputBytes;
		this.reset();
	}

	reset(): void {
		functions().isal_inflate_init(this.#state);
		this.#state.writeUInt32LE(ISAL_GZIP, field.crcFlag);
	}

	step(from: number, to: number): Step {
		const state = this.#state;
		state.writeBigUInt64LE(this.#input + BigInt(from), field.nextIn);
		state.writeUInt32LE(to - from, field.availIn);
		state.writeBigUInt64LE(this.#output, field.nextOut);
		state.writeUInt32LE(this.#outputBytes, field.availOut);
		const result = functions().isal_inflate(state) as number;
		if (result !== ISAL_DECOMP_OK) {
			throw damaged(`isal_inflate says ${result}`);
		}
		return {
			taken: to - from - state.readUInt32LE(field.availIn),
			made: this.#outputBytes - state.readUInt32LE(field.availOut),
			isWhole: state.readUInt32LE(field.blockState) === ISAL_BLOCK_FINISH,
		};
	}

	[Symbol.dispose](): void {
		// Its memory is the heap's to free.
	}
}

const ISAL_GZIP = 1;
const ISAL_DECOMP_OK = 0;
const ISAL_BLOCK_FINISH = 5;
/** Three times what it is: another release may need more. */
const stateBytes = 256 * 1024;
const field = {nextOut: 0, availOut: 8, nextIn: 16, availIn: 32, blockState: 21_160, crcFlag: 21_172} as const;

const functions = bindings(isal => ({
	isal_inflate_init: isal.func('void isal_inflate_init(void *state)'),
	isal_inflate: isal.func('int isal_inflate(void *state)'),
}), 'libisal.so.2');
