import {KeelsonError} from '../../kernel/errors.ts';
import type {IdMaps} from './id-map.ts';

/** Flags of mount(2), from linux/mount.h. */
export const MS = {
	RDONLY: 0x1,
	NOSUID: 0x2,
	NODEV: 0x4,
	NOEXEC: 0x8,
	SYNCHRONOUS: 0x10,
	REMOUNT: 0x20,
	MANDLOCK: 0x40,
	DIRSYNC: 0x80,
	NOSYMFOLLOW: 0x100,
	NOATIME: 0x400,
	NODIRATIME: 0x800,
	BIND: 0x1000,
	MOVE: 0x2000,
	REC: 0x4000,
	SILENT: 0x8000,
	UNBINDABLE: 0x20000,
	PRIVATE: 0x40000,
	SLAVE: 0x80000,
	SHARED: 0x100000,
	RELATIME: 0x200000,
	STRICTATIME: 0x1000000,
	LAZYTIME: 0x2000000,
} as const;

/** What an option list asks of mount(2). */
export interface MountRequest {
	/** Without those of propagation. */
	readonly flags: number;
	/** One of shared, private, slave, unbindable, maybe with REC; 0 leaves it as the kernel made it. */
	readonly propagation: number;
	/** Whether the source is a file that is to be made a block device first. */
	readonly isLoop: boolean;
	/** By whom the files below shall seem to be owned; undefined for nobody else. */
	readonly idMaps: IdMaps | undefined;
	/** What is left, for the file system's own parser, in order. */
	readonly data: readonly string[];
}

/**
 * Reads options as fstab(5) has them, the later winning over the earlier.
 * Rejects with INVALID_ARGUMENT where only one of `uidmap=` and `gidmap=` is there.
 */
export function parseMountOptions(options: readonly string[]): MountRequest {
	let flags = 0;
	let propagation = 0;
	let isLoop = false;
	let [uids, gids]: (string | undefined)[] = [];
	const data: string[] = [];
	for (const option of options) {
		const set = setting.get(option);
		const clear = clearing.get(option);
		const spread = spreading.get(option);
		if (set !== undefined) {
			flags |= set;
		} else if (clear !== undefined) {
			flags &= ~clear;
		} else if (spread !== undefined) {
			propagation = spread;
		} else if (option === 'loop') {
			isLoop = true;
		} else if (option.startsWith('uidmap=')) {
			uids = option.slice('uidmap='.length);
		} else if (option.startsWith('gidmap=')) {
			gids = option.slice('gidmap='.length);
		} else if (option !== 'defaults' && option !== '') {
			data.push(option);
		}
	}
	if ((uids === undefined) !== (gids === undefined)) {
		throw new KeelsonError('INVALID_ARGUMENT', `mount options have uidmap=${uids ?? '(none)'} and gidmap=${gids ?? '(none)'}, expected both or neither`);
	}
	return {flags, propagation, isLoop, idMaps: uids === undefined || gids === undefined ? undefined : {uids, gids}, data};
}

const setting: ReadonlyMap<string, number> = new Map([
	['ro', MS.RDONLY],
	['nosuid', MS.NOSUID],
	['nodev', MS.NODEV],
	['noexec', MS.NOEXEC],
	['sync', MS.SYNCHRONOUS],
	['remount', MS.REMOUNT],
	['mand', MS.MANDLOCK],
	['dirsync', MS.DIRSYNC],
	['nosymfollow', MS.NOSYMFOLLOW],
	['noatime', MS.NOATIME],
	['nodiratime', MS.NODIRATIME],
	['bind', MS.BIND],
	['rbind', MS.BIND | MS.REC],
	['relatime', MS.RELATIME],
	['strictatime', MS.STRICTATIME],
	['lazytime', MS.LAZYTIME],
]);

const clearing: ReadonlyMap<string, number> = new Map([
	['rw', MS.RDONLY],
	['suid', MS.NOSUID],
	['dev', MS.NODEV],
	['exec', MS.NOEXEC],
	['async', MS.SYNCHRONOUS],
	['nomand', MS.MANDLOCK],
	['symfollow', MS.NOSYMFOLLOW],
	['atime', MS.NOATIME],
	['diratime', MS.NODIRATIME],
	['norelatime', MS.RELATIME],
	['nostrictatime', MS.STRICTATIME],
	['nolazytime', MS.LAZYTIME],
]);

const spreading: ReadonlyMap<string, number> = new Map([
	['shared', MS.SHARED],
	['rshared', MS.SHARED | MS.REC],
	['private', MS.PRIVATE],
	['rprivate', MS.PRIVATE | MS.REC],
	['slave', MS.SLAVE],
	['rslave', MS.SLAVE | MS.REC],
	['unbindable', MS.UNBINDABLE],
	['runbindable', MS.UNBINDABLE | MS.REC],
]);
