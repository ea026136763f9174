import {errorCodeOf} from '../api/convert/status-code.ts';
import {KeelsonError} from '../kernel/errors.ts';

/** Makes a KeelsonError of what a call was rejected with: the daemon's code and words, or CANCELLED and DEADLINE_EXCEEDED of our own signal. */
export function errorOf(thrown: unknown, signal?: AbortSignal): KeelsonError {
	if (signal?.aborted === true) {
		return KeelsonError.from(signal.reason, 'CANCELLED');
	}
	if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown) {
		return new KeelsonError(errorCodeOf(thrown.code), String(thrown.details), {cause: thrown});
	}
	return KeelsonError.from(thrown);
}
