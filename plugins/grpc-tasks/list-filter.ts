import type {ProcessInfo} from '../../contracts/task/task.ts';
import {isKeelsonError} from '../../kernel/errors.ts';
import {compileFilters, type FieldOf} from '../../lib/filters/filters.ts';
import {parseFilter} from '../../lib/filters/parse.ts';
import type {Selector} from '../../lib/filters/selector.ts';

const fields = new Set(['id', 'pid', 'status']);

/**
 * What a request's `filter` asks of tasks, by `id`, `pid` and `status` (`running`, or `RUNNING` as enums are written). containerd ignores the
 * field whatever it holds, and there are clients who send what is no filter: one that does not parse, or that asks for another field, holds for all.
 */
export function taskFilter(filter: string): (task: ProcessInfo) => boolean {
	const selectors = readFilter(filter);
	if (selectors === undefined || !selectors.every(({path}) => path.length === 1 && fields.has(path[0] ?? ''))) {
		return () => true;
	}
	const isUpperCase = selectors.some(selector => selector.operator !== 'present' && selector.path[0] === 'status' && /^[A-Z]+$/.test(selector.value));
	const matches = compileFilters([filter]);
	return ({containerId, pid, status}) => {
		const fieldOf: FieldOf = ([field]) => field === 'id' ? containerId : field === 'pid' ? String(pid) : isUpperCase ? status.toUpperCase() : status;
		return matches(fieldOf);
	};
}

function readFilter(filter: string): readonly Selector[] | undefined {
	try {
		return filter === '' ? undefined : parseFilter(filter);
	} catch (error) {
		if (isKeelsonError(error, 'INVALID_ARGUMENT')) {
			return undefined;
		}
		throw error;
	}
}
