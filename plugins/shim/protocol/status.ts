import {Status} from '../../../api/gen/types/task/task.ts';
import type {ProcessStatus} from '../../../contracts/task/task.ts';

const numbers: Readonly<Record<ProcessStatus, Status>> = {
	unknown: Status.UNKNOWN, created: Status.CREATED, running: Status.RUNNING, stopped: Status.STOPPED, paused: Status.PAUSED, pausing: Status.PAUSING,
};

export function toStatusNumber(status: ProcessStatus): Status {
	return numbers[status];
}

export function fromStatusNumber(number: number): ProcessStatus {
	const [found = 'unknown'] = Object.entries(numbers).find(([, value]) => value === number) ?? [];
	return found as ProcessStatus;
}
