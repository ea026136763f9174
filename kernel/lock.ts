import {readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {DatabaseSync} from 'node:sqlite';
import {KeelsonError} from './errors.ts';

/**
 * Takes a directory for this process until it is disposed of or the process ends, however it ends.
 * Rejects with FAILED_PRECONDITION naming the holder's pid when another has it.
 */
export async function lockDirectory(directory: string): Promise<Disposable> {
	const path = join(directory, 'lock.sqlite');
	// SQLite's exclusive lock is one of the system's on the file (fcntl), which Node has no other way to: it cannot go stale.
	const database = new DatabaseSync(path, {timeout: 0});
	try {
		database.exec('BEGIN EXCLUSIVE');
	} catch (error) {
		database.close();
		if (error instanceof Error && 'errcode' in error && error.errcode === 5) {
			throw new KeelsonError('FAILED_PRECONDITION', `${directory} is in use by another daemon (${await holderOf(path)})`, {cause: error});
		}
		throw error;
	}
	return {[Symbol.dispose]: () => database.close()};
}

// 1: POSIX  ADVISORY  WRITE 4242 fe:00:131072 1073741824 1073742335
async function holderOf(path: string): Promise<string> {
	const {ino} = await stat(path);
	const locks = await readFile('/proc/locks', 'utf8').catch(() => '');
	const pid = locks.split('\n').map((line) => line.split(/\s+/)).find((fields) => fields[5]?.endsWith(`:${ino}`) === true)?.[4];
	return pid === undefined || pid === '-1' ? 'its pid cannot be seen from here' : `pid ${pid}`;
}
