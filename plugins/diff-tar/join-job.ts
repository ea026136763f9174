import {constants} from 'node:fs';
import {KeelsonError} from '../../kernel/errors.ts';
import {changeOwnerAt, changeTimesAt, Descriptor, openAt, RESOLVE} from '../../lib/sys/at.ts';
import {getAttribute, listAttributes, setAttribute} from '../../lib/sys/extended-attributes.ts';
import {statusAt, type FileStatus} from '../../lib/sys/file-status.ts';
import {AT_FDCWD, errnoOf} from '../../lib/sys/libc.ts';
import type {JobControl} from './apply-job.ts';
import {copyDescription, isOfOverlay} from './attributes.ts';
import {directoryFlags} from './directory-handles.ts';
import {show, splitPath, toBytes} from './entry-path.ts';
import type {ImpliedDirectory} from './later-layers.ts';
import {LowerLayers} from './lower-layers.ts';

/** A layer that was applied apart, and the layers that it comes to lie on, as it is sent to a worker. */
export interface JoinJob {
	readonly kind: 'join';
	readonly root: string;
	/** The nearest first. */
	readonly lower: readonly string[];
	readonly opaque: string;
	readonly implied: readonly ImpliedDirectory[];
}

/** Gives directories what applying in order would have given them. Rejects with ABORTED where only that does. */
export async function runJoin({root, lower, opaque, implied}: JoinJob, {check}: JobControl): Promise<void> {
	using layers = new LowerLayers(lower, opaque);
	using top = new Descriptor(openAt(AT_FDCWD, root, {flags: directoryFlags}));
	/** What those had, in the order in which they were made, when something was made in them. */
	const origins = new Map<string, FileStatus>();
	for (const directory of implied) {
		check();
		join(top.fd, directory, {layers, origins});
	}
}

function join(root: number, {path, inode, isDescribed}: ImpliedDirectory, {layers, origins}: {readonly layers: LowerLayers; readonly origins: Map<string, FileStatus>}): void {
	using lower = layers.find(path);
	const origin = lower === undefined ? undefined : statusAt(lower.fd, '');
	if (origin !== undefined) {
		origins.set(path, origin);
	}
	using upper = tryOpen(root, path);
	// The archive may have taken it away, and made another in its place.
	if (upper === undefined || statusAt(upper.fd, '').ino !== inode) {
		return;
	}
	if (lower === undefined || origin === undefined) {
		inheritGroup(upper.fd, isDescribed ? undefined : origins.get(splitPath(path).parent));
		return;
	}
	// It says what files made in a directory are like: these are there already.
	if (listAttributes(lower.fd).some(name => name.toString('latin1') === 'system.posix_acl_default')) {
		throw new KeelsonError('ABORTED', `directory ${show(path)} has a default access list: the layer cannot be applied apart from those below`);
	}
	if (isDescribed) {
		addAttributes(lower.fd, upper.fd);
		return;
	}
	copyDescription(lower.fd, origin, upper.fd);
	changeTimesAt(upper.fd, '.', {mtimeNs: origin.mtimeNs, atimeNs: origin.mtimeNs});
}

// mkdir(2): what is made in a directory with the set-group-ID bit has its group.
function inheritGroup(fd: number, parent: FileStatus | undefined): void {
	if (parent !== undefined && (parent.mode & S_ISGID) !== 0) {
		changeOwnerAt(fd, '', statusAt(fd, '').uid, parent.gid);
	}
}

function addAttributes(from: number, to: number): void {
	const has = new Set(listAttributes(to).map(name => name.toString('latin1')));
	for (const name of listAttributes(from)) {
		const value = has.has(name.toString('latin1')) || isOfOverlay(name) ? undefined : getAttribute(from, name);
		if (value !== undefined) {
			setAttribute(to, name, value);
		}
	}
}

function tryOpen(root: number, path: string): Descriptor | undefined {
	try {
		return new Descriptor(openAt(root, toBytes(path), {flags: directoryFlags | constants.O_NOFOLLOW, resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS}));
	} catch (error) {
		if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) {
			return undefined;
		}
		throw error;
	}
}

const S_ISGID = 0o2000;
