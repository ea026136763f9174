import {randomUUID} from 'node:crypto';
import {open, readFile, rename, stat} from 'node:fs/promises';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The daemon as clients tell it from others. */
export interface Identity {
	/** Kept across restarts. */
	readonly uuid: string;
	readonly pid: number;
	/** Inode of the PID namespace in which `pid` holds. */
	readonly pidNamespace: bigint;
}

/** Reads the id at `path`, and makes one where there is none that can be read. */
export async function daemonUuid(path: string): Promise<string> {
	const kept = await readFile(path, 'utf8').catch((error: unknown) => {
		if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
			return '';
		}
		throw error;
	});
	if (UUID.test(kept.trim())) {
		return kept.trim();
	}
	const uuid = randomUUID();
	const draft = `${path}.${process.pid}`;
	{
		await using file = await open(draft, 'w', 0o600);
		await file.writeFile(uuid);
		await file.sync();
	}
	await rename(draft, path);
	return uuid;
}

/** See pid_namespaces(7). */
export async function pidNamespace(): Promise<bigint> {
	return (await stat('/proc/self/ns/pid', {bigint: true})).ino;
}
