import {glob, readFile, rm, rmdir} from 'node:fs/promises';
import {spareSocketPath} from '../../plugins/shim/protocol/spare-service.ts';
import {command} from './command.ts';
import {tracesOf} from './traces.ts';
import {until} from './until.ts';

/**
 * Removes everything that a daemon and its containers may have left, by force: processes, mounts, cgroups, shim sockets, the directory.
 * For the end of a test, also of one that failed; call it when the daemon itself has ended.
 */
export async function sweep(directory: string, namespaces: ReadonlySet<string>): Promise<void> {
	const sockets = await shimSockets(directory);
	await until('containers and shims to end', async () => {
		const {processes} = await tracesOf(directory, namespaces);
		for (const {pid} of processes) {
			kill(pid);
		}

		return processes.length === 0;
	}, {timeoutMs: 10_000, everyMs: 50});
	const {mounts, cgroups, namespaceCgroups} = await tracesOf(directory, namespaces);
	for (const mount of mounts.toReversed()) {
		// Two mounts may lie on one point; the second call then finds none.
		await command('umount', ['-l', mount]);
	}

	for (const cgroup of [...namespaceCgroups, ...cgroups].toSorted((a, b) => b.length - a.length)) {
		await rmdir(cgroup).catch(() => undefined);
	}

	await Promise.all(sockets.map(async socket => rm(socket, {force: true})));
	await rm(directory, {recursive: true, force: true});
}

/** containerd's shims listen outside of its directories; the bundles name the sockets (`address` until 1.x, `bootstrap.json` since 2.0). */
async function shimSockets(directory: string): Promise<string[]> {
	const sockets: string[] = [spareSocketPath(`${directory}/daemon.sock`)];
	for await (const file of glob(`${directory}/state/io.containerd.runtime.v2.task/*/*/{address,bootstrap.json}`)) {
		const text = await readFile(file, 'utf8').catch(() => '');
		sockets.push(...text.match(/(?<=unix:\/\/)\/run\/containerd\/s\/[0-9a-f]{64}/gv) ?? []);
	}

	return sockets;
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
