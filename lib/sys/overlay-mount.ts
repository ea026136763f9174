import {closeSync} from 'node:fs';
import {AT_FDCWD, bindings, cString, errnoOf, lastError} from './libc.ts';
import {MS} from './mount-options.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {waitForChild} from './process.ts';
import {spawnProcess} from './spawn.ts';

/** What mount(2) copies of its data: a page, with the NUL at its end. */
const pageBytes = 4096;

export function isTooLongForPage(data: readonly string[]): boolean {
	return Buffer.byteLength(data.join(',')) >= pageBytes;
}

export interface OverlayMount {
	readonly source: string;
	readonly target: string;
	readonly flags: number;
	/** `lowerdir=...` first or last, as it comes; layers are split at colons, `\:` is a colon in a name. */
	readonly data: readonly string[];
}

/**
 * Mounts an overlay whose options are longer than a page: layer by layer through fsopen(2) and `lowerdir+` (Linux 6.8), or else
 * with paths made relative to the directory that all layers share. Rejects with INVALID_ARGUMENT where neither is short enough.
 */
export async function mountLongOverlay(overlay: OverlayMount): Promise<void> {
	try {
		mountByConfiguration(overlay);
	} catch (error) {
		const errno = errnoOf(error);
		if (errno !== 'ENOSYS' && errno !== 'EINVAL') {
			throw error;
		}
		await mountFromSharedParent(overlay);
	}
}

/** fsopen(2), fsconfig(2), fsmount(2), move_mount(2). */
export function mountByConfiguration({source, target, flags, data}: OverlayMount): void {
	const context = checked(functions().syscall2(SYS.fsopen, cString('overlay'), FSOPEN_CLOEXEC), `fsopen overlay for ${target}`);
	try {
		const set = (key: string, value: string): void => {
			const what = `set overlay's ${key} to ${value} for ${target}`;
			checked(functions().syscall5(SYS.fsconfig, context, FSCONFIG_SET_STRING, cString(key), cString(value), 0), what);
		};
		const say = (command: number, key: string | undefined, what: string): void => {
			checked(functions().syscall5(SYS.fsconfig, context, command, key === undefined ? null : cString(key), null, 0), what);
		};
		set('source', source);
		for (const option of data) {
			const [key, value] = splitOnce(option);
			if (key === 'lowerdir' && value !== undefined) {
				splitLayers(value).forEach(layer => set('lowerdir+', layer));
			} else if (value !== undefined) {
				set(key, value);
			} else {
				say(FSCONFIG_SET_FLAG, key, `set overlay's ${key} for ${target}`);
			}
		}
		if ((flags & MS.RDONLY) !== 0) {
			say(FSCONFIG_SET_FLAG, 'ro', `set overlay's ro for ${target}`);
		}
		say(FSCONFIG_CMD_CREATE, undefined, `create overlay for ${target}`);
		const made = checked(functions().syscall3(SYS.fsmount, context, FSMOUNT_CLOEXEC, mountAttributes(flags)), `fsmount overlay for ${target}`);
		try {
			const moved = functions().move(SYS.move_mount, made, cString(''), AT_FDCWD, cString(target), MOVE_MOUNT_F_EMPTY_PATH);
			checked(moved, `mount overlay at ${target}`);
		} finally {
			closeSync(made);
		}
	} finally {
		closeSync(context);
	}
}

/** mount(8) of util-linux in a process whose working directory is the layers' shared parent; our own must not change. */
export async function mountFromSharedParent({source, target, flags, data}: OverlayMount): Promise<void> {
	const layers = data.flatMap(option => option.startsWith('lowerdir=') ? splitLayers(option.slice('lowerdir='.length)) : []);
	const parent = sharedParent(layers);
	const short = data.map(option => option.startsWith('lowerdir=')
		? `lowerdir=${joinLayers(layers.map(layer => layer.slice(parent.length)))}`
		: option);
	if (isTooLongForPage(short)) {
		throw new KeelsonError('INVALID_ARGUMENT', `overlay at ${target} has ${layers.length} layers, more than fit into a page of options`);
	}
	const words = [...short, (flags & MS.RDONLY) === 0 ? 'rw' : 'ro'];
	const pid = spawnProcess('/bin/mount', ['-i', '-n', '-t', 'overlay', '-o', words.join(','), source, target], {cwd: parent});
	const {exitCode, signal} = await waitForChild(pid);
	if (exitCode !== 0) {
		throw new KeelsonError('INTERNAL', `mount overlay at ${target} from ${parent}: mount(8) ended with ${signal ?? exitCode}`);
	}
}

/** Splits at the colons that no backslash precedes, and takes the backslashes away. */
export function splitLayers(value: string): readonly string[] {
	return value.split(/(?<!\\):/).map(layer => layer.replaceAll('\\:', ':').replaceAll('\\\\', '\\'));
}

/** What `splitLayers` splits. */
export function joinLayers(layers: readonly string[]): string {
	return layers.map(layer => layer.replaceAll('\\', '\\\\').replaceAll(':', '\\:')).join(':');
}

function sharedParent(layers: readonly string[]): string {
	let parent = `${layers[0] ?? ''}/`;
	while (!layers.every(layer => layer.startsWith(parent))) {
		const cut = parent.lastIndexOf('/', parent.length - 2);
		if (cut <= 0) {
			return '/';
		}
		parent = parent.slice(0, cut + 1);
	}
	return parent;
}

function splitOnce(option: string): readonly [string, string?] {
	const at = option.indexOf('=');
	return at === -1 ? [option] : [option.slice(0, at), option.slice(at + 1)];
}

function mountAttributes(flags: number): number {
	// MOUNT_ATTR_RDONLY, _NOSUID, _NODEV and _NOEXEC are the bits that mount(2) has; the times have others.
	const same = flags & (MS.RDONLY | MS.NOSUID | MS.NODEV | MS.NOEXEC);
	return same | ((flags & MS.NOATIME) === 0 ? 0 : 0x10) | ((flags & MS.STRICTATIME) === 0 ? 0 : 0x20) | ((flags & MS.NODIRATIME) === 0 ? 0 : 0x80);
}

function checked(result: number, what: string): number {
	if (result === -1) {
		throw lastError(what);
	}
	return result;
}

// From asm-generic/unistd.h; x64 and arm64 have the same numbers from 424 on.
const SYS = {move_mount: 429, fsopen: 430, fsconfig: 431, fsmount: 432} as const;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

const functions = bindings(libc => ({
	syscall2: libc.func('syscall', 'long', ['long', 'const char *', 'ulong']),
	syscall3: libc.func('syscall', 'long', ['long', 'long', 'ulong', 'ulong']),
	syscall5: libc.func('syscall', 'long', ['long', 'long', 'ulong', 'const char *', 'const char *', 'long']),
	move: libc.func('syscall', 'long', ['long', 'long', 'const char *', 'long', 'const char *', 'ulong']),
}));
