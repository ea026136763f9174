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

/** Gives a code to what runc's shim of containerd answers without one. */
export async function withCode<T>(call: Promise<T>): Promise<T> {
	try {
		return await call;
	} catch (error) {
		if (error instanceof KeelsonError && error.code === 'UNKNOWN' && /^cannot \w+ (?:a|in a) \w+ (?:process|container|state)/.test(error.message)) {
			throw new KeelsonError('FAILED_PRECONDITION', error.message, {cause: error});
		}
		throw error;
	}
}
