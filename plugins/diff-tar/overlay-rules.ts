import {constants} from 'node:fs';
import {changeOwnerAt, makeNodeAt} from '../../lib/sys/at.ts';
import {setAttribute} from '../../lib/sys/extended-attributes.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {errnoOf} from '../../lib/sys/libc.ts';
import type {DirectoryHandles} from './directory-handles.ts';
import {joinPath, splitPath, toBytes} from './entry-path.ts';
import type {LayersBelow} from './lower-layers.ts';
import type {TreeRules} from './tree-rules.ts';

export interface OverlayRulesOptions {
	readonly handles: DirectoryHandles;
	readonly lower: LayersBelow;
	/** `trusted.overlay.opaque`, or `user.overlay.opaque` with userxattr. */
	readonly opaque: string;
	/** Asks for a directory's time of change to be set in the end. */
	readonly keepTime: (path: string, mtimeNs: bigint) => void;
}

/** The tree is an upper directory of overlayfs: what is removed becomes a whiteout (Documentation/filesystems/overlayfs, "whiteouts and opaque directories"). */
export class OverlayRules implements TreeRules {
	readonly #options: OverlayRulesOptions;
	readonly #whiteouts = new Set<string>();

	constructor(options: OverlayRulesOptions) {
		this.#options = options;
	}

	makeOpaque(_path: string, fd: number): void {
		setAttribute(fd, this.#options.opaque, Buffer.from('y'));
	}

	hide(directory: string, base: string): void {
		const {handles, opaque} = this.#options;
		const fd = handles.make(directory);
		const name = toBytes(base);
		this.#whiteouts.add(joinPath(directory, base));
		try {
			makeNodeAt(fd, name, constants.S_IFCHR);
			changeOwnerAt(fd, name, 0, 0);
		} catch (error) {
			if (errnoOf(error) !== 'EEXIST') {
				throw error;
			}
			// The archive has the name too, and its own counts: only what is below a directory has to go.
			if ((statusAt(fd, name).mode & constants.S_IFMT) === constants.S_IFDIR) {
				setAttribute({directory: fd, name}, opaque, Buffer.from('y'));
			}
		}
	}

	made(directory: string, base: string, isDirectory: boolean): void {
		if (this.#whiteouts.size > 0 && this.#whiteouts.delete(joinPath(directory, base)) && isDirectory) {
			const {handles, opaque} = this.#options;
			setAttribute({directory: handles.make(directory), name: toBytes(base)}, opaque, Buffer.from('y'));
		}
		// A directory that was there already and is described now: an implied one, or one that the archive has twice.
		this.#options.lower.described?.(() => statusAt(this.#options.handles.make(directory), toBytes(base)).ino);
	}

	implied(path: string, fd: number): void {
		const mtimeNs = this.#options.lower.copyDirectory(path, fd);
		if (mtimeNs !== undefined) {
			this.#options.keepTime(path, mtimeNs);
		}
	}

	bring(path: string): boolean {
		const {parent, base} = splitPath(path);
		const {handles, lower} = this.#options;
		return lower.copyUp(path, {directory: handles.make(parent), name: toBytes(base)});
	}
}
