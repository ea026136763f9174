import {access, mkdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';
import {parseMountTable} from './mount-table.ts';

/** Makes a control group in every hierarchy that is mounted, where it is missing: older shims join none that is not there. */
export async function makeCgroup(group: string): Promise<void> {
	await inEachHierarchy(group, async () => undefined);
}

/** Moves a process into a control group, in every hierarchy that is mounted; made where it is missing. Rejects with FAILED_PRECONDITION. */
export async function joinCgroup(group: string, pid: number): Promise<void> {
	await inEachHierarchy(group, async directory => writeFile(path.join(directory, 'cgroup.procs'), String(pid)));
}

async function inEachHierarchy(group: string, act: (directory: string) => Promise<void>): Promise<void> {
	const mounts = parseMountTable(await readFile('/proc/self/mountinfo', 'utf8')).filter(({type}) => type === 'cgroup' || type === 'cgroup2');
	for (const {mountPoint} of mounts) {
		// A group is below its hierarchy, whatever dots are in its name.
		const directory = path.join(mountPoint, path.join('/', group));
		try {
			await makeGroup(directory, mountPoint);
			await act(directory);
		} catch (error) {
			throw new KeelsonError('FAILED_PRECONDITION', `cannot join cgroup ${directory}: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
		}
	}
}

async function makeGroup(directory: string, mountPoint: string): Promise<void> {
	if (directory === mountPoint || await exists(directory)) {
		return;
	}
	const parent = path.dirname(directory);
	await makeGroup(parent, mountPoint);
	await mkdir(directory, {mode: 0o755});
	// A new group of v1's cpuset has no processors and takes no process before it has (cgroup-v1/cpusets.rst).
	for (const name of ['cpuset.cpus', 'cpuset.mems']) {
		const file = path.join(directory, name);
		if (await exists(file) && (await readFile(file, 'utf8')).trim() === '' && !await exists(path.join(directory, 'cgroup.controllers'))) {
			await writeFile(file, await readFile(path.join(parent, name)));
		}
	}
}

async function exists(file: string): Promise<boolean> {
	return access(file).then(() => true, () => false);
}
