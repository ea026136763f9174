import {closeSync, openSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import {access} from 'node:fs/promises';
import path from 'node:path';
import type {ProcessExit} from '../../../contracts/task/task.ts';

const name = 'init.exit';
const toldName = 'init.exit.told';

/** Writes how a container's init ended into its bundle, for those who come when this shim is gone. */
export function recordExit(bundle: string, {pid, exitStatus, exitedAt}: ProcessExit): void {
	const file = path.join(bundle, name);
	writeFileSync(`${file}.new`, JSON.stringify({pid, exitStatus, exitedAt: exitedAt.toISOString()}), {mode: 0o600});
	renameSync(`${file}.new`, file);
}

/** The daemon has been told of it: nobody needs to tell it again. */
export function recordTold(bundle: string): void {
	try {
		closeSync(openSync(path.join(bundle, toldName), 'w', 0o600));
	} catch {
		// The bundle is gone by now, and with it all need to know.
	}
}

export async function isTold(bundle: string): Promise<boolean> {
	return access(path.join(bundle, toldName)).then(() => true, () => false);
}

/** What `recordExit` wrote; undefined when init did not end while a shim was there. */
export function recordedExit(bundle: string): ProcessExit | undefined {
	try {
		const {pid, exitStatus, exitedAt} = JSON.parse(readFileSync(path.join(bundle, name), 'utf8')) as {pid: number; exitStatus: number; exitedAt: string};
		return {pid, exitStatus, exitedAt: new Date(exitedAt)};
	} catch {
		return undefined;
	}
}

/** The pid that the runtime wrote at create; 0 when there is none. */
export function recordedPid(bundle: string): number {
	try {
		return Number.parseInt(readFileSync(path.join(bundle, 'init.pid'), 'utf8'), 10) || 0;
	} catch {
		return 0;
	}
}
