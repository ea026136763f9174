import {readFileSync, rmdirSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {errnoOf} from '../../../lib/sys/libc.ts';
import {parseMountTable} from '../../../lib/sys/mount-table.ts';

/** Where a container's control groups lie in the file system. */
export interface ContainerCgroup {
	/** Of cgroup v1: a directory for each controller that is mounted (`memory`, `cpu`, `cpuacct`, ...). */
	readonly controllers: ReadonlyMap<string, string>;
	/** Of cgroup v2; with v1 beside it (hybrid) it controls little. */
	readonly unified: string | undefined;
}

/**
 * The groups of a process, which must be in its container by now and must not have its own cgroup namespace's root hidden from us; undefined when
 * it has ended, and left no trace in /proc.
 */
export function cgroupOf(pid: number): ContainerCgroup | undefined {
	try {
		return locateCgroup(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), readFileSync('/proc/self/mountinfo', 'utf8'));
	} catch {
		return undefined;
	}
}

/**
 * Joins /proc/PID/cgroup (cgroups(7): `hierarchy:controllers:path`) with the mounts of this namespace (mountinfo). Groups whose
 * hierarchy is not mounted here are left out.
 */
export function locateCgroup(groups: string, mountInfo: string): ContainerCgroup {
	const controllers = new Map<string, string>();
	let unified: string | undefined;
	// Few of a thousand lines: the rest are containers' own.
	const lines = mountInfo.split('\n').filter(line => / - cgroup2? /.test(line));
	const mounts = parseMountTable(lines.join('\n'));
	for (const line of groups.split('\n')) {
		const [, id, names = '', path = ''] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
		if (id === undefined) {
			continue;
		}
		if (names === '') {
			const mount = mounts.find(({type}) => type === 'cgroup2');
			unified = mount === undefined ? undefined : below(mount, path);
			continue;
		}
		for (const name of names.split(',')) {
			const mount = mounts.find(({type, superOptions}) => type === 'cgroup' && superOptions.includes(name));
			const directory = mount === undefined ? undefined : below(mount, path);
			if (directory !== undefined) {
				controllers.set(name, directory);
			}
		}
	}
	return {controllers, unified};
}

// A mount may show a part of the hierarchy only: in a container, its own.
function below({mountPoint, root}: {readonly mountPoint: string; readonly root: string}, path: string): string | undefined {
	if (root === '/') {
		return `${mountPoint}${path === '/' ? '' : path}`;
	}
	return path === root || path.startsWith(`${root}/`) ? `${mountPoint}${path.slice(root.length)}` : undefined;
}

/** Whether v2 is what governs: v1 controllers are not there. */
export function isUnified(cgroup: ContainerCgroup): cgroup is ContainerCgroup & {readonly unified: string} {
	const {controllers, unified} = cgroup;
	return unified !== undefined && ![...controllers.keys()].some(name => !name.startsWith('name='));
}

/** Two seconds in all: a kernel that is busy lets go of a process's group when it has time. */
const removalMs: readonly number[] = [0, 20, 80, 400, 1500];

/**
 * Takes away what the runtime has left of a container's groups. runc tries for a third of a second, and ends well also where one stays. Resolves once
 * all are gone, or after two seconds; a group that still has processes, or groups below it, stays.
 */
export async function removeCgroup({controllers, unified}: ContainerCgroup): Promise<void> {
	const left = new Set([...controllers.values(), ...unified === undefined ? [] : [unified]]);
	for (const milliseconds of removalMs) {
		if (milliseconds > 0) {
			await sleep(milliseconds);
		}
		for (const directory of left) {
			if (isRemoved(directory)) {
				left.delete(directory);
			}
		}
		if (left.size === 0) {
			return;
		}
	}
}

function isRemoved(directory: string): boolean {
	try {
		rmdirSync(directory);
		return true;
	} catch (error) {
		return errnoOf(error) === 'ENOENT';
	}
}
