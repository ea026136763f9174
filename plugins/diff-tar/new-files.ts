import {readdirSync} from 'node:fs';
import {getAttribute} from '../../lib/sys/extended-attributes.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import type {TarEntry} from '../../lib/tar/tar-entry.ts';

/**
 * What a new file gets without being asked, so that nobody has to ask: two calls for each of fifty thousand files are a thirtieth of a pull.
 * That is owner and mode of who makes it, unless a directory passes on its group (inode(7), mount(8) grpid) or an access list (acl(5)): in a tree that was
 * not empty, or from such a directory on, nothing is taken for granted.
 */
export class NewFiles {
	readonly #umask = process.umask();
	#isOwnersOwn = process.geteuid?.() === 0 && process.getegid?.() === 0;
	#isModesOwn = true;

	/** Of the tree below `root`, into which nothing has been written yet. */
	constructor(root: number) {
		const {mode, gid} = statusAt(root, '');
		if (readdirSync(`/proc/self/fd/${root}`).length > 0 || getAttribute(root, DEFAULT_ACCESS_LIST) !== undefined) {
			this.distrust();
		} else {
			this.#isOwnersOwn &&= gid === 0 && (mode & SETGID) === 0;
		}
	}

	/** Must be told of every directory before anything is made in it. */
	directory({mode, gid, attributes}: TarEntry): void {
		if (gid !== 0 || (mode & SETGID) !== 0) {
			this.#isOwnersOwn = false;
		}
		if (attributes.some(({name}) => name.equals(DEFAULT_ACCESS_LIST))) {
			this.#isModesOwn = false;
		}
	}

	/** Must be called when a directory has come into the tree that the archive does not describe. */
	distrust(): void {
		this.#isOwnersOwn = false;
		this.#isModesOwn = false;
	}

	/** Whether a new file of this entry has its owner already. */
	haveOwner({uid, gid}: TarEntry): boolean {
		return this.#isOwnersOwn && uid === 0 && gid === 0;
	}

	/** With which mode to make it to have the entry's from the start; undefined where that takes a call of its own. */
	modeOf({mode, attributes}: TarEntry): number | undefined {
		return this.#isModesOwn && attributes.length === 0 && (mode & ~0o777) === 0 && (mode & this.#umask) === 0 ? mode : undefined;
	}
}

const SETGID = 0o2000;
const DEFAULT_ACCESS_LIST = Buffer.from('system.posix_acl_default');
