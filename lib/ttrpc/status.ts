import {KeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import type {Status} from './messages.ts';

/** gRPC's numbers, by place. */
const codes: readonly ErrorCode[] = [
	'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED',
	'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
];

export const success: Status = {code: 0, message: ''};

/** What the peer is told of anything thrown: what is no error of ours is UNKNOWN, with its message. */
export function toStatus(thrown: unknown): Status {
	const {code, message} = KeelsonError.from(thrown);
	return {code: codes.indexOf(code) + 1, message};
}

/** What the peer told us; a number that gRPC does not have is UNKNOWN. */
export function fromStatus({code, message}: Status): KeelsonError {
	return new KeelsonError(codes[code - 1] ?? 'UNKNOWN', message);
}
