import {constants} from 'node:fs';
import {access, mkdir, mkdtemp, open, readFile, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {readEntryTypes} from '../../lib/sys/entry-types.ts';
import {mountMapped, openUserNamespace} from '../../lib/sys/id-map.ts';
import {performMount, UMOUNT, unmountAll} from '../../lib/sys/mount.ts';

/** Somebody who is not root, and whom nothing here belongs to. */
const trialId = 666;

/** Why this machine cannot stack directories of the file system at `root`; undefined when it can. */
export async function findObstacle(root: string): Promise<string | undefined> {
	await mkdir(root, {recursive: true, mode: 0o700});
	const trial = await mkdtemp(path.join(root, 'trial-'));
	try {
		if (!await hasEntryTypes(trial)) {
			return `the file system of ${root} does not tell types of directory entries (d_type; xfs needs ftype=1), which overlayfs needs`;
		}
		const known = await readFile('/proc/filesystems', 'utf8');
		if (!/^nodev\toverlay$/m.test(known) && !await canMount(trial)) {
			return 'the kernel has no overlayfs';
		}
		return undefined;
	} finally {
		await rm(trial, {recursive: true, force: true});
	}
}

/**
 * Whether overlays of the file system at `root` can show files with other owners than they have: the kernel maps mounts (5.12), this file system, and
 * layers of overlays (5.19). Asked by doing it; whatever fails means no.
 */
export async function canMapOwners(root: string): Promise<boolean> {
	const trial = await mkdtemp(path.join(root, 'trial-'));
	const at = (name: string): string => path.join(trial, name);
	const [lower, merged] = [at('lower'), at('merged')];
	try {
		await Promise.all(['lower', 'upper', 'work', 'merged'].map(name => mkdir(at(name))));
		await writeFile(path.join(lower, 'file'), '');
		using userNamespace = await openUserNamespace({uids: `0:${trialId}:1`, gids: `0:${trialId}:1`});
		mountMapped(lower, lower, userNamespace.fd);
		await performMount({type: 'overlay', source: 'overlay', options: ['ro', `lowerdir=${lower}`, `upperdir=${at('upper')}`, `workdir=${at('work')}`]}, merged);
		const {uid, gid} = await stat(path.join(merged, 'file'));
		return uid === trialId && gid === trialId;
	} catch {
		return false;
	} finally {
		await unmountAll(merged, UMOUNT.DETACH);
		await unmountAll(lower, UMOUNT.DETACH);
		await rm(trial, {recursive: true, force: true});
	}
}

/**
 * Options that every overlay mount gets beside the configured ones: `index=off`, since an index ties an upper directory to one
 * mount, where the kernel knows it; `userxattr` below a user namespace, where trusted.* attributes are out of reach.
 */
export async function neededMountOptions(configured: readonly string[]): Promise<readonly string[]> {
	const has = (name: string): boolean => configured.some(option => option === name || option.startsWith(`${name}=`));
	return [
		...configured,
		...!has('userxattr') && await isInUserNamespace() ? ['userxattr'] : [],
		...!has('index') && await exists('/sys/module/overlay/parameters/index') ? ['index=off'] : [],
	];
}

async function isInUserNamespace(): Promise<boolean> {
	const map = await readFile('/proc/self/uid_map', 'utf8');
	return !/^\s*0\s+0\s+4294967295\s*$/.test(map);
}

async function hasEntryTypes(directory: string): Promise<boolean> {
	await writeFile(path.join(directory, 'file'), '');
	await using handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
	return readEntryTypes(handle.fd).every(({type}) => type !== 'unknown');
}

// The kernel loads its module at the first mount.
async function canMount(directory: string): Promise<boolean> {
	const at = (name: string): string => path.join(directory, name);
	await Promise.all(['a', 'b', 'merged'].map(name => mkdir(at(name))));
	try {
		await performMount({type: 'overlay', source: 'overlay', options: ['ro', `lowerdir=${at('a')}:${at('b')}`]}, at('merged'));
	} catch {
		return false;
	}
	await unmountAll(at('merged'), UMOUNT.DETACH);
	return true;
}

async function exists(file: string): Promise<boolean> {
	return access(file).then(() => true, () => false);
}
