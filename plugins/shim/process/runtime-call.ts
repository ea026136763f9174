import {isKeelsonError, KeelsonError} from '../../../kernel/errors.ts';

/** Puts containerd's words before the runtime's, which stay as they are: clients look for both. */
export async function inRuntimeWords<T>(what: string, call: Promise<T>): Promise<T> {
	try {
		return await call;
	} catch (error) {
		throw isKeelsonError(error) ? new KeelsonError('UNKNOWN', `${what}: ${error.message}`, {cause: error}) : error;
	}
}

/** What a failed kill means: a process that is gone is NOT_FOUND, in containerd's words. */
export function toKillError(error: unknown): unknown {
	const message = error instanceof Error ? error.message : '';
	const code = error instanceof Error && 'code' in error ? error.code : undefined;
	if (code === 'ESRCH' || /process already finished|container not running|no such process|not running/i.test(message)) {
		return new KeelsonError('NOT_FOUND', 'process already finished', {cause: error});
	}
	return code === 'NOT_FOUND' ? new KeelsonError('NOT_FOUND', 'no such container', {cause: error}) : error;
}
