import {readFile} from 'node:fs/promises';

/** A process and when it began, since its number alone may be another's by now (proc_pid_stat(5), field 22); undefined when there is none. */
export async function identity(pid: number): Promise<string | undefined> {
	const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
	const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
	return fields === undefined || fields[0] === 'Z' ? undefined : `${pid} ${fields[19]}`;
}
