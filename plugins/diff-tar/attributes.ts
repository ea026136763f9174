import {chmodSync, constants, fchmodSync, fchownSync} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {changeOwnerAt, changeTimes, changeTimesAt, Descriptor, O_PATH, openAt} from '../../lib/sys/at.ts';
import {getAttribute, listAttributes, setAttribute} from '../../lib/sys/extended-attributes.ts';
import {statusAt, type FileStatus} from '../../lib/sys/file-status.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import type {TarEntry} from '../../lib/tar/tar-entry.ts';

interface Times {
	readonly mtimeNs: bigint;
	readonly atimeNs?: bigint | undefined;
}

/**
 * Puts an entry's owner, extended attributes and mode on an open file or directory, in this order: a change of owner takes
 * setuid and security.capability away. Times are not set. What it has already need not be put.
 */
export function describeOpen(fd: number, entry: TarEntry, {hasOwner = false, hasMode = false}: {readonly hasOwner?: boolean; readonly hasMode?: boolean} = {}): void {
	checkIds(entry);
	if (!hasOwner) {
		fchownSync(fd, entry.uid, entry.gid);
	}
	setAttributes(fd, entry, true);
	if (!hasMode) {
		fchmodSync(fd, entry.mode);
	}
}

/** Owner and times of a symbolic link that has no attributes. */
export function describeLink(directory: number, name: Buffer, entry: TarEntry, {hasOwner}: {readonly hasOwner: boolean}): void {
	checkIds(entry);
	if (!hasOwner) {
		changeOwnerAt(directory, name, entry.uid, entry.gid);
	}
	setTimes(directory, name, entry);
}

/** The same for a name that cannot or must not be opened (a device, a symbolic link, a hard link to whatever), and its times. */
export function describeNamed(directory: number, name: Buffer, entry: TarEntry): void {
	checkIds(entry);
	using file = new Descriptor(openAt(directory, name, {flags: O_PATH | constants.O_NOFOLLOW}));
	const type = statusAt(file.fd, '').mode & constants.S_IFMT;
	changeOwnerAt(file.fd, '', entry.uid, entry.gid);
	const isLink = type === constants.S_IFLNK;
	setAttributes(isLink ? {directory, name} : file.fd, entry, type === constants.S_IFREG || type === constants.S_IFDIR);
	if (!isLink) {
		chmodSync(`/proc/self/fd/${file.fd}`, entry.mode);
	}
	setTimes(directory, name, entry);
}

/** What setTimes does, to an open file. */
export function setTimesOpen(fd: number, times: Times): void {
	changeTimes(fd, boundTimes(times));
}

/** Before 1970, or where nanoseconds do not fit into 64 bits, it is 1970, as containerd has it; the later of both is the time of access. */
export function setTimes(directory: number, name: Buffer, times: Times): void {
	changeTimesAt(directory, name, boundTimes(times));
}

/** Owner, mode and extended attributes of `from`, of which a file of a lower layer is copied up. */
export function copyDescription(from: number, status: FileStatus, to: number): void {
	fchownSync(to, status.uid, status.gid);
	for (const attribute of listAttributes(from)) {
		const value = isOfOverlay(attribute) ? undefined : getAttribute(from, attribute);
		if (value !== undefined) {
			setAttribute(to, attribute, value);
		}
	}
	fchmodSync(to, status.mode & 0o7777);
}

// An id beyond 32 bits would be cut by the kernel, maybe to 0; (uid_t)-1 means "leave as it is".
function checkIds({name, uid, gid}: TarEntry): void {
	if (uid < 0 || gid < 0 || uid >= 0xffff_ffff || gid >= 0xffff_ffff) {
		throw new KeelsonError('INVALID_ARGUMENT', `tar entry ${JSON.stringify(name.toString('utf8', 0, 400))} has the owner ${uid}:${gid}, which is out of range`);
	}
}

function setAttributes(target: Parameters<typeof setAttribute>[0], entry: TarEntry, takesUserAttributes: boolean): void {
	for (const {name, value} of entry.attributes) {
		// Those configure overlayfs itself: the bytes of an image must not.
		if (isOfOverlay(name)) {
			continue;
		}
		try {
			setAttribute(target, name, value);
		} catch (error) {
			const errno = errnoOf(error);
			const isUseless = errno === 'EOPNOTSUPP' || (errno === 'EPERM' && !takesUserAttributes && name.toString('latin1').startsWith('user.'));
			if (!isUseless) {
				throw error;
			}
		}
	}
}

export function isOfOverlay(name: Buffer): boolean {
	const text = name.toString('latin1');
	return text.startsWith('trusted.overlay.') || text.startsWith('user.overlay.');
}

function boundTimes({mtimeNs, atimeNs}: Times): {readonly mtimeNs: bigint; readonly atimeNs: bigint} {
	const mtime = boundTime(mtimeNs);
	return {mtimeNs: mtime, atimeNs: atimeNs !== undefined && atimeNs > mtimeNs ? boundTime(atimeNs) : mtime};
}

function boundTime(timeNs: bigint): bigint {
	return timeNs < 0n || timeNs > 0x7fff_ffff_ffff_ffffn ? 0n : timeNs;
}
