import {bindings, inPool} from '../sys/libc.ts';
import {damaged, type Decoder, type Place, type Step} from './inflater.ts';
import {movedIn, pointTo} from './stream-state.ts';

/**
 * gzip by ISA-L's isal_inflate, which igzip is made of. Throws where there is no libisal.so.2. Its state is a structure of the caller's (igzip_lib.h,
 * 2.23 to 2.31): whoever uses it tries first whether its fields are where they are sought.
 */
export class IsalDecoder implements Decoder {
	readonly #state = Buffer.allocUnsafeSlow(stateBytes);

	constructor() {
		this.reset();
	}

	reset(): void {
		functions().isal_inflate_init(this.#state);
		this.#state.writeUInt32LE(ISAL_GZIP, field.crcFlag);
	}

	step(place: Place): Step {
		pointTo(this.#state, field, place);
		return this.#done(place, functions().isal_inflate(this.#state) as number);
	}

	async stepBeside(place: Place): Promise<Step> {
		pointTo(this.#state, field, place);
		return this.#done(place, (await inPool(functions().isal_inflate, [this.#state])).result);
	}

	[Symbol.dispose](): void {
		// Its memory is the heap's to free.
	}

	#done(place: Place, result: number): Step {
		if (result !== ISAL_DECOMP_OK) {
			throw damaged(`isal_inflate says ${result}`);
		}
		return {...movedIn(this.#state, field, place), isWhole: this.#state.readUInt32LE(field.blockState) === ISAL_BLOCK_FINISH};
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
