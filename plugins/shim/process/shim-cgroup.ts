import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {parseMountTable} from '../../../lib/sys/mount-table.ts';
import {KeelsonError} from '../../../kernel/errors.ts';

/** Moves this process into a control group of its own, in every hierarchy that is mounted; made where it is missing. Throws FAILED_PRECONDITION. */
export function joinCgroup(group: string): void {
	const mounts = parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8')).filter(({type}) => type === 'cgroup' || type === 'cgroup2');
	for (const {mountPoint} of mounts) {
		// A group is below its hierarchy, whatever dots are in its name.
		const directory = path.join(mountPoint, path.join('/', group));
		try {
			makeGroup(directory, mountPoint);
			writeFileSync(path.join(directory, 'cgroup.procs'), String(process.pid));
		} catch (error) {
			throw new KeelsonError('FAILED_PRECONDITION', `the shim cannot join cgroup ${directory}: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
		}
	}
}

function makeGroup(directory: string, mountPoint: string): void {
	if (directory === mountPoint || existsSync(directory)) {
		return;
	}
	const parent = path.dirname(directory);
	makeGroup(parent, mountPoint);
	mkdirSync(directory, {mode: 0o755});
	// A new group of v1's cpuset has no processors and takes no process before it has (cgroup-v1/cpusets.rst).
	for (const name of ['cpuset.cpus', 'cpuset.mems']) {
		const file = path.join(directory, name);
		if (existsSync(file) && readFileSync(file, 'utf8').trim() === '' && !existsSync(path.join(directory, 'cgroup.controllers'))) {
			writeFileSync(file, readFileSync(path.join(parent, name)));
		}
	}
}
