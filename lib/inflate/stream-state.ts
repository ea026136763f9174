import type {Place, Step} from './inflater.ts';

/** Where a C structure keeps what its next call reads and writes, in bytes from its start: two addresses, and 32 bits of what is left of each. */
export interface StreamFields {
	readonly nextIn: number;
	readonly availIn: number;
	readonly nextOut: number;
	readonly availOut: number;
}

/** Before a call. */
export function pointTo(state: Buffer, {nextIn, availIn, nextOut, availOut}: StreamFields, {input, inputBytes, output, outputBytes}: Place): void {
	state.writeBigUInt64LE(input, nextIn);
	state.writeUInt32LE(inputBytes, availIn);
	state.writeBigUInt64LE(output, nextOut);
	state.writeUInt32LE(outputBytes, availOut);
}

/** After it. */
export function movedIn(state: Buffer, {availIn, availOut}: StreamFields, {inputBytes, outputBytes}: Place): Pick<Step, 'taken' | 'made'> {
	return {taken: inputBytes - state.readUInt32LE(availIn), made: outputBytes - state.readUInt32LE(availOut)};
}
