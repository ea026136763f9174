import {constants} from 'node:fs';
import path from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';
import {Descriptor, O_PATH, openAt, RESOLVE} from '../../lib/sys/at.ts';
import {AT_FDCWD, errnoOf} from '../../lib/sys/libc.ts';

/** A path of which everything below `root` is walked without a symbolic link, so that whoever goes there by the whole path comes to the same place. */
export interface ConfinedPath {
	readonly root: string;
	/** Relative, never empty. */
	readonly below: string;
}

/** Pure. The longest of `roots` that holds the path counts. Throws INVALID_ARGUMENT when none does, or the path is not plain. */
export function confine(given: string, roots: readonly string[], what: string): ConfinedPath {
	if (!path.isAbsolute(given) || path.normalize(given) !== given || given.endsWith('/')) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} ${JSON.stringify(given)}: expected an absolute path without . and ..`);
	}
	const [root] = roots.filter(one => given.startsWith(`${one}/`)).toSorted((a, b) => b.length - a.length);
	if (root === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} ${JSON.stringify(given)} lies neither in an active mount of this activation nor below ${roots.join(', ')}`);
	}
	return {root, below: given.slice(root.length + 1)};
}

/** Opens what is there. Rejects with NOT_FOUND; FAILED_PRECONDITION when a symbolic link is on the way or at its end. */
export function openConfined({root, below}: ConfinedPath, flags: number): Descriptor {
	using top = new Descriptor(openAt(AT_FDCWD, root, {flags: O_PATH | constants.O_DIRECTORY}));
	try {
		return new Descriptor(openAt(top.fd, below, {flags, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_SYMLINKS}));
	} catch (error) {
		if (errnoOf(error) === 'ELOOP') {
			throw new KeelsonError('FAILED_PRECONDITION', `${root}/${below} has a symbolic link in it, which may lead anywhere`, {cause: error});
		}
		throw error;
	}
}

/** The directory that holds it, which must be there, and its name. */
export function openParent({root, below}: ConfinedPath): {readonly parent: Descriptor; readonly name: string} {
	const name = path.basename(below);
	const above = path.dirname(below);
	const flags = O_PATH | constants.O_DIRECTORY;
	return {name, parent: above === '.' ? new Descriptor(openAt(AT_FDCWD, root, {flags})) : openConfined({root, below: above}, flags)};
}
