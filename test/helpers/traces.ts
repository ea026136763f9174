import {readdir, readFile, readlink} from 'node:fs/promises';
import path from 'node:path';

/** What a daemon's directory and its containerd namespaces have in the kernel and in /proc at this moment. */
export interface Traces {
	readonly mounts: readonly string[];
	readonly processes: readonly {readonly pid: number; readonly what: string}[];
	/** Directories of containers below /sys/fs/cgroup/CONTROLLER/NAMESPACE, deepest last. */
	readonly cgroups: readonly string[];
	/** The directories of the namespaces themselves, which containerd leaves. */
	readonly namespaceCgroups: readonly string[];
}

export async function tracesOf(directory: string, namespaces: ReadonlySet<string>): Promise<Traces> {
	const [mounts, processes, all] = await Promise.all([mountsUnder(directory), processesOf(directory, namespaces), cgroupsOf(namespaces)]);
	const namespaceCgroups = all.filter(one => namespaces.has(path.basename(one)));
	return {mounts, processes, cgroups: all.filter(one => !namespaceCgroups.includes(one)), namespaceCgroups};
}

/** Mount points at or below a directory, newest last. proc_pid_mountinfo(5): the fifth field, with octal escapes. */
export async function mountsUnder(directory: string): Promise<string[]> {
	const table = await readFile('/proc/self/mountinfo', 'utf8');
	return table.split('\n')
		.map(line => (line.split(' ')[4] ?? '').replaceAll(/\\(\d{3})/gv, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
		.filter(point => point === directory || point.startsWith(`${directory}/`));
}

/** Processes that name the directory in their command line or stand in it, or are in a container of one of the namespaces. */
async function processesOf(directory: string, namespaces: ReadonlySet<string>): Promise<Array<{pid: number; what: string}>> {
	const found = await Promise.all((await readdir('/proc')).filter(name => /^\d+$/v.test(name) && Number(name) !== process.pid).map(async name => {
		// A process may end at any line of this.
		const [line, cwd, cgroup] = await Promise.all([
			readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => ''),
			readlink(`/proc/${name}/cwd`).catch(() => ''),
			readFile(`/proc/${name}/cgroup`, 'utf8').catch(() => ''),
		]);
		const isOurs = line.includes(directory) || cwd === directory || cwd.startsWith(`${directory}/`) || [...namespaces].some(namespace => cgroup.includes(`/${namespace}/`));
		return isOurs ? [{pid: Number(name), what: `${name} ${line.replaceAll('\0', ' ').trim()}`}] : [];
	}));
	return found.flat();
}

async function cgroupsOf(namespaces: ReadonlySet<string>): Promise<string[]> {
	const controllers = await readdir('/sys/fs/cgroup').catch(() => []);
	const roots = ['/sys/fs/cgroup', ...controllers.map(name => `/sys/fs/cgroup/${name}`)];
	const found: string[] = [];
	for (const root of roots) {
		for (const namespace of namespaces) {
			await collect(path.join(root, namespace), found);
		}
	}

	return found;
}

async function collect(directory: string, into: string[]): Promise<void> {
	const children = await readdir(directory, {withFileTypes: true}).catch(() => undefined);
	if (children === undefined) {
		return;
	}

	into.push(directory);
	for (const child of children) {
		if (child.isDirectory()) {
			await collect(path.join(directory, child.name), into);
		}
	}
}
