import {readdir, readFile} from 'node:fs/promises';

/** The processes that a process has descriptors of. */
export async function pidfdsOf(pid: number): Promise<ReadonlySet<number>> {
	const descriptors = await readdir(`/proc/${pid}/fdinfo`).catch(() => []);
	const infos = await Promise.all(descriptors.map(async fd => readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(() => '')));
	return new Set(infos.map(text => Number(/^Pid:\s+(\d+)$/m.exec(text)?.[1] ?? 0)));
}
