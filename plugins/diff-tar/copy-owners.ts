import type {IdRange} from '../../contracts/copy/copy.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** Who owns what is copied: as it can be sent to a worker. */
export interface CopyOwners {
	readonly keepsOwners: boolean;
	readonly ids: {readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[]} | undefined;
}

export interface Owner {
	readonly uid: number;
	readonly gid: number;
}

/** As the kernel shows whom a namespace does not know. */
const NOBODY = 65_534;

/** The owner in this machine's ids of an entry in those of the archive. Throws INVALID_ARGUMENT for one that the tree's user namespace does not know. */
export function ownerOutside({keepsOwners, ids}: CopyOwners, entry: Owner): Owner {
	const {uid, gid} = keepsOwners ? entry : {uid: 0, gid: 0};
	const map = (ranges: readonly IdRange[] | undefined, id: number, what: string): number => {
		const range = ranges?.find(({inside, size}) => id >= inside && id < inside + size);
		if (ranges !== undefined && range === undefined) {
			throw new KeelsonError('INVALID_ARGUMENT', `${what} ${id} of a tar is nobody's in the user namespace that it is copied into`);
		}
		return range === undefined ? id : range.outside + id - range.inside;
	};
	return {uid: map(ids?.uids, uid, 'user'), gid: map(ids?.gids, gid, 'group')};
}

/** The owner as the archive has it. */
export function ownerInside({keepsOwners, ids}: CopyOwners, file: Owner): Owner {
	if (!keepsOwners) {
		return {uid: 0, gid: 0};
	}
	const map = (ranges: readonly IdRange[] | undefined, id: number): number => {
		const range = ranges?.find(({outside, size}) => id >= outside && id < outside + size);
		return ranges === undefined ? id : range === undefined ? NOBODY : range.inside + id - range.outside;
	};
	return {uid: map(ids?.uids, file.uid), gid: map(ids?.gids, file.gid)};
}
