import {errorCodeOf} from '../api/convert/status-code.ts';
import {KeelsonError} from '../kernel/errors.ts';

// How grpc-js says that it could not connect.
const NOBODY = /^No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note:.*$/s;

/** Makes a KeelsonError of what a call was rejected with: the daemon's code and words, or CANCELLED and DEADLINE_EXCEEDED of our own signal. */
export function errorOf(thrown: unknown, signal?: AbortSignal): KeelsonError {
	if (signal?.aborted === true) {
		return KeelsonError.from(signal.reason, 'CANCELLED');
	}
	if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown) {
		return new KeelsonError(errorCodeOf(thrown.code), String(thrown.details).replace(NOBODY, 'nobody answers: $1'), {cause: thrown});
	}
	return KeelsonError.from(thrown);
}
