/** Every failure that a caller may act on, and nothing else. The set is closed; the names are those of gRPC's status codes. */
export type ErrorCode =
	| 'CANCELLED'
	| 'UNKNOWN'
	| 'INVALID_ARGUMENT'
	| 'DEADLINE_EXCEEDED'
	| 'NOT_FOUND'
	| 'ALREADY_EXISTS'
	| 'PERMISSION_DENIED'
	| 'RESOURCE_EXHAUSTED'
	| 'FAILED_PRECONDITION'
	| 'ABORTED'
	| 'OUT_OF_RANGE'
	| 'UNIMPLEMENTED'
	| 'INTERNAL'
	| 'UNAVAILABLE'
	| 'DATA_LOSS'
	| 'UNAUTHENTICATED';

/** A failure with a stable code; the message is free, says what, where and both values, and starts in lower case. */
export class KeelsonError extends Error {
	override readonly name = 'KeelsonError';
	readonly code: ErrorCode;

	constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.code = code;
	}

	/**
	 * Makes one of ours of anything thrown: ours stay as they are, an abort becomes CANCELLED (DEADLINE_EXCEEDED when it
	 * was a timeout), everything else takes `code`. What was thrown is kept as the cause.
	 */
	static from(thrown: unknown, code: ErrorCode = 'UNKNOWN'): KeelsonError {
		if (isKeelsonError(thrown)) {
			return thrown;
		}
		const message = thrown instanceof Error ? thrown.message : String(thrown);
		if (thrown instanceof Error && thrown.name === 'TimeoutError') {
			return new KeelsonError('DEADLINE_EXCEEDED', message, {cause: thrown});
		}
		if (thrown instanceof Error && thrown.name === 'AbortError') {
			return new KeelsonError('CANCELLED', message, {cause: thrown});
		}
		return new KeelsonError(code, message, {cause: thrown});
	}
}

/** Goes by shape, not by class, so that a second copy of the kernel in the process is understood too. */
export function isKeelsonError(error: unknown, code?: ErrorCode): error is KeelsonError {
	return error instanceof Error && error.name === 'KeelsonError' && 'code' in error
		&& (code === undefined || error.code === code);
}
