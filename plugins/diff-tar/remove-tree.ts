import {constants, rmSync} from 'node:fs';
import {unlinkAt} from '../../lib/sys/at.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {errnoOf} from '../../lib/sys/libc.ts';

/**
 * Removes a name, a directory with all in it; none is no error. No symbolic link is followed.
 * @returns whether paths may lead elsewhere now: a directory or a symbolic link went
 */
export function removeTreeAt(directory: number, name: Buffer): boolean {
	let type: number;
	try {
		type = statusAt(directory, name).mode & constants.S_IFMT;
		if (type !== constants.S_IFDIR) {
			unlinkAt(directory, name);
			return type === constants.S_IFLNK;
		}
	} catch (error) {
		if (errnoOf(error) === 'ENOENT') {
			return false;
		}
		throw error;
	}
	rmSync(Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name]), {recursive: true, force: true});
	return true;
}
