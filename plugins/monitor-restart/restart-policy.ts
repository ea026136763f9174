import type {Labels} from '../../contracts/oci/labels.ts';

/** Clients write them, and read the count. */
export const restartLabels = {
	status: 'containerd.io/restart.status',
	policy: 'containerd.io/restart.policy',
	count: 'containerd.io/restart.count',
	logUri: 'containerd.io/restart.loguri',
	/** Of clients before containerd 1.5: a plain path. */
	logPath: 'containerd.io/restart.logpath',
	explicitlyStopped: 'containerd.io/restart.explicitly-stopped',
} as const;

/** How often a container was started again. */
export function countOf(labels: Labels): number {
	const count = Number(labels[restartLabels.count] ?? 0);
	return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** Where its output goes. */
export function logOf(labels: Labels): string {
	const file = labels[restartLabels.logPath] ?? '';
	return labels[restartLabels.logUri] ?? (file === '' ? '' : `file://${file}`);
}

/**
 * Whether a container that shall run, and does not, is started again: `no`, `always` (also when there is no policy), `on-failure[:times]`, `unless-stopped`.
 * A policy that is none of these starts nothing. `exitStatus` is undefined where there is no task.
 */
export function isRestarted(labels: Labels, exitStatus: number | undefined): boolean {
	const [policy = '', times = ''] = (labels[restartLabels.policy] ?? '').split(':', 2);
	switch (policy) {
		case '':
		case 'always':
			return times === '';
		case 'on-failure':
			return /^\d*$/.test(times) && exitStatus !== undefined && exitStatus !== 0 && (Number(times) === 0 || countOf(labels) < Number(times));
		case 'unless-stopped':
			return times === '' && !['1', 't', 'T', 'true', 'TRUE', 'True'].includes(labels[restartLabels.explicitlyStopped] ?? '');
		default:
			return false;
	}
}
