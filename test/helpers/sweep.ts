import {glob, readdir, readFile, readlink, rm, rmdir} from 'node:fs/promises';
import {depotPath, spareSocketPath} from '../../plugins/shim/protocol/spare-service.ts';
import {command} from './command.ts';
import {tracesOf} from './traces.ts';
import {until} from './until.ts';

/**
 * Removes everything that a daemon and its containers may have left, by force: processes, mounts, cgroups, shim sockets, the directory.
 * For the end of a test, also of one that failed; call it when the daemon itself has ended.
 */
export async function sweep(directory: string, namespaces: ReadonlySet<string>): Promise<void> {
	const sockets = new Set(await shimSockets(directory));
	await until('containers and shims to end', async () => {
		const {processes} = await tracesOf(directory, namespaces);
		for (const {pid} of processes) {
			// What it listens at outlives it, and nothing names it any more.
			(await shimSocketsOf(pid)).forEach(socket => sockets.add(socket));
			kill(pid);
		}

		return processes.length === 0;
	}, {everyMs: 50});
	const {mounts, cgroups, namespaceCgroups} = await tracesOf(directory, namespaces);
	for (const mount of mounts.toReversed()) {
		// Two mounts may lie on one point; the second call then finds none.
		await command('umount', ['-l', mount]);
	}

	for (const cgroup of [...namespaceCgroups, ...cgroups].toSorted((a, b) => b.length - a.length)) {
		// What has just ended may keep its group busy for a moment.
		const isGone = async (): Promise<boolean> => rmdir(cgroup).then(() => true, (error: unknown) => (error as NodeJS.ErrnoException).code !== 'EBUSY');
		await until(`${cgroup} to go`, isGone, {everyMs: 20, timeoutMs: 2000}).catch(() => undefined);
	}

	await Promise.all([...sockets].map(async socket => rm(socket, {force: true})));
	await rm(directory, {recursive: true, force: true});
}

/** containerd's shims listen outside of its directories; the bundles name the sockets (`address` until 1.x, `bootstrap.json` since 2.0). */
async function shimSockets(directory: string): Promise<string[]> {
	const address = `${directory}/daemon.sock`;
	const sockets: string[] = [spareSocketPath(address), depotPath(address)];
	for await (const file of glob(`${directory}/state/io.containerd.runtime.v2.task/*/*/{address,bootstrap.json}`)) {
		const text = await readFile(file, 'utf8').catch(() => '');
		sockets.push(...text.match(/(?<=unix:\/\/)\/run\/containerd\/s\/[0-9a-f]{64}/gv) ?? []);
	}

	return sockets;
}

/** Sockets of shims that a process listens at: proc_pid_net(5), /proc/net/unix, whose seventh field is the inode and the eighth the path. */
async function shimSocketsOf(pid: number): Promise<string[]> {
	const fds = await readdir(`/proc/${pid}/fd`).catch((): string[] => []);
	const links = await Promise.all(fds.map(async fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
	const inodes = new Set(links.map(link => /^socket:\[(\d+)\]$/v.exec(link)?.[1]));
	return (await readFile('/proc/net/unix', 'utf8')).split('\n').flatMap(line => {
		const [,,,,,, inode, path = ''] = line.trim().split(/ +/v);
		return inodes.has(inode) && path.startsWith('/run/containerd/s/') ? [path] : [];
	});
}

function kill(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
			throw error;
		}
	}
}
