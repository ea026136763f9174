import {KeelsonError} from '../../kernel/errors.ts';

/** A number of bytes or an offset, as a plain number. Throws INVALID_ARGUMENT where it is negative or beyond 2^53. */
export function bytesOf(value: bigint, what: string): number {
	if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} is ${value}, expected 0 to ${Number.MAX_SAFE_INTEGER}`);
	}
	return Number(value);
}
