import {readFileSync, rmSync} from 'node:fs';

/** Names a file of the form `<place> <pid>...`. */
const variable = 'KEELSON_FAILPOINT';

/**
 * A place at which tests of crashes kill: when the file that the process's environment names, if it does, names this place, the processes that it lists
 * are ended as by `kill -9`, once. Whoever can set that environment can do as much without.
 */
export function failpoint(name: string): void {
	const file = process.env[variable];
	if (file !== undefined && file !== '') {
		strike(name, file);
	}
}

function strike(name: string, file: string): void {
	let text: string;
	try {
		text = readFileSync(file, 'utf8');
	} catch {
		return;
	}
	const [wanted, ...pids] = text.trim().split(' ');
	if (wanted !== name) {
		return;
	}
	rmSync(file, {force: true});
	// Ourselves last: then nothing of this process comes after.
	const isSelf = (pid: string): number => Number(Number(pid) === process.pid);
	for (const pid of pids.toSorted((a, b) => isSelf(a) - isSelf(b))) {
		try {
			process.kill(Number(pid), 'SIGKILL');
		} catch {
			// It has ended by itself.
		}
	}
}
