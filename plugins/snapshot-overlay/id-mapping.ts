import type {Labels} from '../../contracts/oci/labels.ts';
import {KeelsonError} from '../../kernel/errors.ts';

/** Say how ids in the container are ids of the host: `container:host:count`, several joined by commas. */
export const uidMappingLabel = 'containerd.io/snapshot/uidmapping';
export const gidMappingLabel = 'containerd.io/snapshot/gidmapping';

export interface Owner {
	readonly uid: number;
	readonly gid: number;
}

/** Who root of the container is on the host; undefined without mapping labels. Rejects with INVALID_ARGUMENT where root is not mapped. */
export function mappedRoot(labels: Labels): Owner | undefined {
	const uids = labels[uidMappingLabel];
	const gids = labels[gidMappingLabel];
	if (uids === undefined && gids === undefined) {
		return undefined;
	}
	return {uid: hostIdOfRoot(uids ?? '', uidMappingLabel), gid: hostIdOfRoot(gids ?? '', gidMappingLabel)};
}

function hostIdOfRoot(mapping: string, label: string): number {
	for (const range of mapping.split(',')) {
		const numbers = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(range)?.slice(1).map(Number);
		// (uid_t)-1 means "no id" to the kernel.
		if (numbers === undefined || numbers.some(number => number >= 0xffff_ffff)) {
			throw new KeelsonError('INVALID_ARGUMENT', `label ${label} has ${JSON.stringify(range.slice(0, 100))}, expected container:host:count`);
		}
		const [container = 0, host = 0, count = 0] = numbers;
		if (container === 0 && count > 0) {
			return host;
		}
	}
	throw new KeelsonError('INVALID_ARGUMENT', `label ${label} maps ${JSON.stringify(mapping.slice(0, 200))}, and no id for root`);
}
