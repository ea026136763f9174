import {constants} from 'node:fs';
import type {Mount} from '../../contracts/oci/mount.ts';
import {isKeelsonError, KeelsonError} from '../../kernel/errors.ts';
import {changeMode, changeOwnerAt, Descriptor, makeDirectoryAt, openAt} from '../../lib/sys/at.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import {confine, openConfined, openParent} from './confined-path.ts';

const prefix = 'X-containerd.mkdir.';

interface DirectoryRequest {
	readonly path: string;
	readonly mode: number;
	readonly owner: {readonly uid: number; readonly gid: number} | undefined;
}

/** Makes the directories that a mount's options ask for, below `roots`, and takes these options away. */
export function makeDirectories(mount: Mount, roots: readonly string[]): Mount {
	for (const option of mount.options.filter(one => one.startsWith(prefix))) {
		makeDirectory(parseDirectory(option), roots);
	}
	return {...mount, options: mount.options.filter(option => !option.startsWith(prefix))};
}

/** Pure. `X-containerd.mkdir.path=<path>[:<mode>[:<uid>:<gid>]]`, the mode octal, by default 0700. Throws INVALID_ARGUMENT. */
export function parseDirectory(option: string): DirectoryRequest {
	const {path, mode = '700', uid, gid} = /^path=(?<path>[^:]+)(?::(?<mode>[0-7]{1,4})(?::(?<uid>\d{1,10}):(?<gid>\d{1,10}))?)?$/.exec(option.slice(prefix.length))?.groups ?? {};
	const ids = [uid, gid].map(id => Number(id ?? 0));
	const bits = Number.parseInt(mode, 8);
	if (path === undefined || bits > 0o777 || ids.some(id => id >= 0xffff_ffff)) {
		throw new KeelsonError('INVALID_ARGUMENT', `option ${JSON.stringify(option)}: expected ${prefix}path=<path>[:<mode>[:<uid>:<gid>]]`);
	}
	return {path, mode: bits, owner: uid === undefined ? undefined : {uid: Number(uid), gid: Number(gid)}};
}

function makeDirectory({path, mode, owner}: DirectoryRequest, roots: readonly string[]): void {
	const confined = confine(path, roots, 'directory');
	const {parent, name} = openParent(confined);
	using _parent = parent;
	try {
		makeDirectoryAt(parent.fd, name, 0o700);
	} catch (error) {
		if (isKeelsonError(error, 'ALREADY_EXISTS')) {
			requireDirectory(path, () => openConfined(confined, constants.O_DIRECTORY));
			return;
		}
		throw error;
	}
	using made = new Descriptor(openAt(parent.fd, name, {flags: constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW}));
	if (owner !== undefined) {
		changeOwnerAt(made.fd, '', owner.uid, owner.gid);
	}
	// After the owner, whose change takes bits away; and by itself, since the umask does too.
	changeMode(made.fd, mode);
}

function requireDirectory(path: string, open: () => Descriptor): void {
	try {
		open()[Symbol.dispose]();
	} catch (error) {
		if (errnoOf(error) === 'ENOTDIR') {
			throw new KeelsonError('FAILED_PRECONDITION', `${path} is there and is no directory`, {cause: error});
		}
		throw error;
	}
}
