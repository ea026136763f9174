import {errorCodeOf} from '../../api/convert/status-code.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** Makes one of ours of what a call was rejected with: the peer's code and words; its own abort when we cancelled. */
export function fromStatus(error: unknown, signal?: AbortSignal): unknown {
	if (signal?.aborted === true) {
		return KeelsonError.from(signal.reason);
	}
	if (!(error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error)) {
		return error;
	}
	return new KeelsonError(errorCodeOf(error.code), String(error.details), {cause: error});
}
