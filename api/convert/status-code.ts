import type {ErrorCode} from '../../kernel/errors.ts';

/** The numbers that codes have on the wire (google.rpc.Code). A new code does not compile until it has one. */
export const statusCodes = {
	CANCELLED: 1,
	UNKNOWN: 2,
	INVALID_ARGUMENT: 3,
	DEADLINE_EXCEEDED: 4,
	NOT_FOUND: 5,
	ALREADY_EXISTS: 6,
	PERMISSION_DENIED: 7,
	RESOURCE_EXHAUSTED: 8,
	FAILED_PRECONDITION: 9,
	ABORTED: 10,
	OUT_OF_RANGE: 11,
	UNIMPLEMENTED: 12,
	INTERNAL: 13,
	UNAVAILABLE: 14,
	DATA_LOSS: 15,
	UNAUTHENTICATED: 16,
} as const satisfies Readonly<Record<ErrorCode, number>>;

/** UNKNOWN for a number that nobody gave a meaning. */
export function errorCodeOf(number: number): ErrorCode {
	const found = Object.entries(statusCodes).find(([, each]) => each === number);
	return found === undefined ? 'UNKNOWN' : found[0] as ErrorCode;
}
