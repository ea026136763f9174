import {KeelsonError} from '../../../kernel/errors.ts';

/** Puts containerd's words before a failure, whose code stays. */
export function prefixed(what: string, error: unknown): KeelsonError {
	const {code, message} = KeelsonError.from(error);
	return new KeelsonError(code, `${what}: ${message}`, {cause: error});
}

/** Whether a shim, and not what it was asked for, is gone. */
export function isShimGone(error: unknown): boolean {
	return error instanceof KeelsonError && error.code === 'UNAVAILABLE';
}
