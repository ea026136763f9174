import {KeelsonError} from '../../kernel/errors.ts';
import type {RuntimeState} from '../../contracts/oci-runtime/oci-runtime.ts';

const statuses: readonly string[] = ['creating', 'created', 'running', 'stopped', 'paused'] satisfies readonly RuntimeState['status'][];

/** Reads what `state` prints (runtime-spec runtime.md, State); `paused` is the runtimes' own. Throws INTERNAL for anything else. */
export function parseRuntimeState(value: unknown): RuntimeState {
	const {id, pid = 0, status, bundle} = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof RuntimeState, unknown>>;
	if (typeof id !== 'string' || typeof pid !== 'number' || typeof bundle !== 'string' || typeof status !== 'string' || !statuses.includes(status)) {
		throw new KeelsonError('INTERNAL', `the runtime's state is ${JSON.stringify(value).slice(0, 200)}, expected id, pid, status and bundle`);
	}
	return {id, pid, status: status as RuntimeState['status'], bundle};
}
