import {constants, readlinkSync} from 'node:fs';
import {Descriptor, O_PATH, openAt, RESOLVE} from './at.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {IdMaps} from './id-map.ts';
import {AT_FDCWD, bindings, cString, inPool, lastError, systemError} from './libc.ts';
import {attachLoop} from './loop-device.ts';
import {MS, parseMountOptions} from './mount-options.ts';
import {isTooLongForPage, mountLongOverlay} from './overlay-mount.ts';

/** A mount as snapshots describe it. `options` are those of fstab(5), one a string. */
export interface MountDescription {
	readonly type: string;
	readonly source: string;
	/** Where it goes below the root that all of them share; resolved within it. Empty is the root itself. */
	readonly target?: string;
	readonly options: readonly string[];
}

/** Flags of umount2(2). */
export const UMOUNT = {FORCE: 1, DETACH: 2, EXPIRE: 4, NOFOLLOW: 8} as const;

/** umount2(2) as it is, on this thread: the last user of a file system waits until it is written out, unless DETACH. */
export function unmount(path: string, flags = 0): void {
	if (functions().umount2(cString(path), flags) === -1) {
		throw lastError(`unmount ${path}`);
	}
}

/**
 * Performs one mount below `directory`: the mount itself, then the remount that makes a bind read-only (or nosuid, ...), then its
 * propagation. After a failure of a later step the earlier ones are taken back. The calls run on a thread of the pool.
 * With the option `loop` the source is a file, whose loop device goes with the mount. With `uidmap=` and `gidmap=` the layers of an overlay,
 * or what is bound, seem to be owned as those say; rejects with UNIMPLEMENTED for other types, and where the kernel cannot.
 */
export async function performMount(description: MountDescription, directory: string): Promise<void> {
	await performAt(description, resolveTarget(directory, description.target ?? ''));
}

/** Binds `source`, which may be a file that is no file (`/proc/self/fd/3`), to `target`. Runs on a thread of the pool. */
export async function bindMount(source: string, target: string): Promise<void> {
	await performCalls([{source, target, type: '', flags: MS.BIND, data: ''}]);
}

/** Performs mounts in order, all below `root`; when one fails those before it are taken away again. */
export async function performMounts(mounts: readonly MountDescription[], root: string): Promise<void> {
	const done: string[] = [];
	try {
		for (const description of mounts) {
			const path = resolveTarget(root, description.target ?? '');
			await performAt(description, path);
			done.push(path);
		}
	} catch (error) {
		for (const path of done.toReversed()) {
			await tryUnmount(path, UMOUNT.DETACH);
		}
		throw error;
	}
}

/** Takes away every mount that is stacked at `path`, which may also be none, or no file at all. Symbolic links are not followed. */
export async function unmountAll(path: string, flags = 0): Promise<void> {
	while (await tryUnmount(path, flags | UMOUNT.NOFOLLOW)) {
		// EINVAL, which says that nothing is mounted here any more, ends it.
	}
}

interface MountCall {
	readonly source: string;
	readonly target: string;
	readonly type: string;
	readonly flags: number;
	readonly data: string;
}

/** The calls of mount(2) that a description takes, in order. Pure. */
export function planMount(description: MountDescription, target: string): readonly MountCall[] {
	const {flags, propagation, data} = parseMountOptions(description.options);
	const {source, type} = description;
	const calls: MountCall[] = [];
	if ((flags & MS.REMOUNT) === 0) {
		calls.push({source, target, type, flags, data: data.join(',')});
	}
	// The kernel ignores all but REC when it binds; the flags take a second call.
	const ofTheMount = flags & ~(MS.BIND | MS.REC | MS.REMOUNT);
	if ((flags & MS.BIND) !== 0 && ofTheMount !== 0) {
		calls.push({source: '', target, type: '', flags: ofTheMount | MS.BIND | MS.REMOUNT, data: ''});
	} else if ((flags & MS.REMOUNT) !== 0) {
		calls.push({source, target, type, flags, data: data.join(',')});
	}
	return [...calls, ...planPropagation(propagation, target)];
}

function planPropagation(propagation: number, target: string): readonly MountCall[] {
	return propagation === 0 ? [] : [{source: '', target, type: '', flags: propagation, data: ''}];
}

async function performAt(description: MountDescription, path: string): Promise<void> {
	const {flags, propagation, isLoop, idMaps, data} = parseMountOptions(description.options);
	if (idMaps !== undefined) {
		await performMapped({...description, options: description.options.filter(option => !/^[ug]idmap=/.test(option))}, path, idMaps);
		return;
	}
	if (isLoop) {
		using device = await attachLoop(description.source, {isReadOnly: (flags & MS.RDONLY) !== 0});
		await performCalls(planMount({...description, source: device.path}, path));
		return;
	}
	if (description.type !== 'overlay' || !isTooLongForPage(data)) {
		await performCalls(planMount(description, path));
		return;
	}
	await mountLongOverlay({source: description.source, target: path, flags, data});
	await performCalls(planPropagation(propagation, path));
}

// Few mounts are such: what they need is loaded with the first.
async function performMapped(description: MountDescription, target: string, maps: IdMaps): Promise<void> {
	const [{mountMapped, openUserNamespace}, {mapLayers}] = await Promise.all([import('./id-map.ts'), import('./mapped-layers.ts')]);
	using namespace = await openUserNamespace(maps);
	if (description.type === 'overlay') {
		// The upper directory is not mapped: what is written there belongs to whom it seems to.
		await using layers = await mapLayers(description.options, namespace.fd, async layer => unmountAll(layer, UMOUNT.DETACH));
		await performAt({...description, options: layers.options}, target);
		return;
	}
	const [bind, ...rest] = planMount(description, target);
	if (bind === undefined || (bind.flags & MS.BIND) === 0) {
		throw new KeelsonError('UNIMPLEMENTED', `a mount of type ${description.type} at ${target} cannot have other owners: only overlays and binds can`);
	}
	mountMapped(description.source, target, namespace.fd);
	try {
		await performCalls(rest);
	} catch (error) {
		await unmountAll(target, UMOUNT.DETACH);
		throw error;
	}
}

async function performCalls(calls: readonly MountCall[]): Promise<void> {
	let mounted: string | undefined;
	try {
		for (const call of calls) {
			const {result, errno} = await inPool(functions().mount, toArguments(call));
			if (result === -1) {
				throw systemError(errno, describe(call));
			}
			mounted ??= (call.flags & MS.REMOUNT) === 0 ? call.target : undefined;
		}
	} catch (error) {
		if (mounted !== undefined) {
			await tryUnmount(mounted, UMOUNT.DETACH);
		}
		throw error;
	}
}

// A path and not the descriptor: a descriptor that was opened before a mount keeps pointing below it.
function resolveTarget(directory: string, target: string): string {
	if (target === '' || target === '/' || target === '.') {
		return directory;
	}
	using root = new Descriptor(openAt(AT_FDCWD, directory, {flags: O_PATH | constants.O_DIRECTORY}));
	using inner = new Descriptor(openAt(root.fd, target, {flags: O_PATH, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS}));
	return readlinkSync(`/proc/self/fd/${inner.fd}`);
}

async function tryUnmount(path: string, flags: number): Promise<boolean> {
	const {result, errno} = await inPool(functions().umount2, [cString(path), flags]);
	if (result === 0) {
		return true;
	}
	const error = systemError(errno, `unmount ${path}`);
	if (error.code === 'INVALID_ARGUMENT' || error.code === 'NOT_FOUND') {
		return false;
	}
	throw error;
}

function describe({source, target, type, flags, data}: MountCall): string {
	const what = type !== '' ? type : (flags & MS.BIND) !== 0 ? `bind of ${source}` : 'propagation';
	return `${(flags & MS.REMOUNT) === 0 ? 'mount' : 'remount'} ${what} at ${target}${data === '' ? '' : ` with ${data.slice(0, 200)}`}`;
}

function toArguments({source, target, type, flags, data}: MountCall): readonly unknown[] {
	return [cString(source), cString(target), cString(type), flags, data === '' ? null : cString(data)];
}

const functions = bindings(libc => ({
	mount: libc.func('int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)'),
	umount2: libc.func('int umount2(const char *target, int flags)'),
}));
