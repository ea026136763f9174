import {KeelsonError} from '../../kernel/errors.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {show} from './entry-path.ts';
import type {LayersBelow} from './lower-layers.ts';

/** A directory that an archive has files in. */
export interface ImpliedDirectory {
	/** Below the root, with no links on it; Latin 1. */
	readonly path: string;
	readonly inode: bigint;
	/** The archive came to it afterwards: its owner, mode, time and attributes count, and those below are added. */
	isDescribed: boolean;
}

const impliedMax = 65_536;

/**
 * Stands for layers below that are not there yet: notes which directories are to get their attributes. What cannot wait, a hard link
 * to a file of theirs, rejects with ABORTED.
 */
export class LaterLayers implements LayersBelow {
	readonly #implied = new Map<bigint, ImpliedDirectory>();

	get implied(): readonly ImpliedDirectory[] {
		return [...this.#implied.values()];
	}

	copyDirectory(path: string, to: number): undefined {
		if (this.#implied.size >= impliedMax) {
			throw new KeelsonError('ABORTED', `a layer implies more than ${impliedMax} directories: it cannot be applied apart from those below`);
		}
		const inode = statusAt(to, '').ino;
		this.#implied.set(inode, {path, inode, isDescribed: false});
		return undefined;
	}

	copyUp(path: string): boolean {
		throw new KeelsonError('ABORTED', `a layer has a hard link to ${show(path)}, which it does not have: it cannot be applied apart from those below`);
	}

	described(inode: () => bigint): void {
		const known = this.#implied.size === 0 ? undefined : this.#implied.get(inode());
		if (known !== undefined) {
			known.isDescribed = true;
		}
	}
}
