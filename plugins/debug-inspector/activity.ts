import {readdir, readFile, readlink} from 'node:fs/promises';

/**
 * What the daemon waits for, as Go's dump of goroutines tells it of containerd: how many of each kind of handle and request Node has on the
 * main thread, the threads and what each does, and every descriptor with what it leads to. Not by Node's own report, which waits for each worker.
 */
export async function activity(): Promise<string> {
	const resources = process.getActiveResourcesInfo();
	const [threads, descriptors] = await Promise.all([threadLines(), descriptorLines()]);
	return [
		`${resources.length} active resources: ${counted(resources)}`, '',
		`${threads.length} threads`, ...threads, '',
		`${descriptors.length} descriptors`, ...descriptors, '',
	].join('\n');
}

async function threadLines(): Promise<readonly string[]> {
	const ids = await readdir('/proc/self/task');
	return (await Promise.all(ids.map(async id => {
		// proc_pid_stat(5): 17 (nodejs) S ...; one that has ended has none.
		const [stat, where] = await Promise.all(['stat', 'wchan'].map(async name => readFile(`/proc/self/task/${id}/${name}`, 'utf8').catch(() => '')));
		const [, name, state] = /\((.*)\) (\S)/.exec(stat ?? '') ?? [];
		return name === undefined ? [] : [`${id} ${name} ${state}${where === '' || where === '0' ? '' : ` ${where}`}`];
	}))).flat();
}

async function descriptorLines(): Promise<readonly string[]> {
	const [fds, sockets] = await Promise.all([readdir('/proc/self/fd'), unixSockets()]);
	return (await Promise.all(fds.map(async fd => {
		const target = await readlink(`/proc/self/fd/${fd}`).catch(() => undefined);
		const inode = /^socket:\[(\d+)\]$/.exec(target ?? '')?.[1];
		return target === undefined ? [] : [`${fd} ${target} ${sockets.get(inode ?? '') ?? ''}`.trimEnd()];
	}))).flat();
}

// Num RefCount Protocol Flags Type St Inode Path
async function unixSockets(): Promise<ReadonlyMap<string, string>> {
	const lines = (await readFile('/proc/self/net/unix', 'utf8')).split('\n').map(line => line.trim().split(/ +/));
	return new Map(lines.filter(fields => fields.length > 7).map(fields => [fields[6] ?? '', fields.slice(7).join(' ')]));
}

function counted(names: readonly string[]): string {
	const counts = Map.groupBy(names, name => name);
	return [...counts].map(([name, all]) => `${name} ${all.length}`).toSorted().join(', ');
}
