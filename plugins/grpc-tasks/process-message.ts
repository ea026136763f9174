import {timestampOf} from '../../api/convert/timestamp.ts';
import {Status, type Process} from '../../api/gen/types/task/task.ts';
import type {ProcessInfo, ProcessStatus} from '../../contracts/task/task.ts';

const STATUSES = {
	unknown: Status.UNKNOWN,
	created: Status.CREATED,
	running: Status.RUNNING,
	stopped: Status.STOPPED,
	paused: Status.PAUSED,
	pausing: Status.PAUSING,
} as const satisfies Record<ProcessStatus, Status>;

/** A process as the wire shows it: the id of an init is its container's. */
export function processMessage({containerId, execId, pid, status, stdin, stdout, stderr, terminal, exitStatus, exitedAt}: ProcessInfo): Process {
	return {
		containerId, id: execId === '' ? containerId : execId, pid, status: STATUSES[status],
		stdin, stdout, stderr, terminal, exitStatus, exitedAt: exitedAt === undefined ? undefined : timestampOf(exitedAt),
	};
}
