import type {Mount} from '../../contracts/oci/mount.ts';
import type {Labels} from '../../contracts/oci/labels.ts';
import type {SnapshotKind} from '../../contracts/snapshot/snapshot.ts';
import {uidMappingLabel, gidMappingLabel} from './id-mapping.ts';

export interface MountedSnapshot {
	readonly kind: Exclude<SnapshotKind, 'committed'>;
	/** Its own `fs` and `work` directories. */
	readonly upper: string;
	readonly work: string;
	/** The `fs` directories of its parents, the nearest first. */
	readonly lower: readonly string[];
	readonly labels: Labels;
	/** Its parents are not known yet. */
	readonly isApart?: boolean;
}

export interface MountRules {
	/** Further options of overlays, after lowerdir; not of binds. */
	readonly overlayOptions: readonly string[];
	/** Mapping labels become options, which only some kernels can follow. */
	readonly mapsOwners: boolean;
}

/**
 * The mounts of a snapshot. Pure.
 *
 *     no parent                bind of its own directory
 *     no parent yet            overlay: workdir, upperdir; for who lays a layer into it
 *     view, one parent         bind of the parent's directory, read-only
 *     active                   overlay: workdir, upperdir, lowerdir=3:2:1 (the newest layer is leftmost)
 *     view, several parents    overlay: lowerdir alone
 */
export function mountsOf({kind, upper, work, lower, labels, isApart = false}: MountedSnapshot, {overlayOptions, mapsOwners}: MountRules): readonly Mount[] {
	const mapping = mapsOwners ? mappingOptions(labels) : [];
	if (isApart) {
		return [{type: 'overlay', source: 'overlay', target: '', options: [...mapping, `workdir=${work}`, `upperdir=${upper}`, ...overlayOptions]}];
	}
	if (lower.length === 0) {
		return [bind(upper, [...mapping, kind === 'view' ? 'ro' : 'rw', 'rbind'])];
	}
	const [nearest = ''] = lower;
	if (kind === 'view' && lower.length === 1) {
		return [bind(nearest, [...mapping, 'ro', 'rbind'])];
	}
	const own = kind === 'view' ? [] : [`workdir=${work}`, `upperdir=${upper}`];
	return [{type: 'overlay', source: 'overlay', target: '', options: [...mapping, ...own, `lowerdir=${lower.join(':')}`, ...overlayOptions]}];
}

function bind(source: string, options: readonly string[]): Mount {
	return {type: 'bind', source, target: '', options};
}

function mappingOptions(labels: Labels): readonly string[] {
	const uids = labels[uidMappingLabel];
	const gids = labels[gidMappingLabel];
	return [...uids === undefined ? [] : [`uidmap=${uids}`], ...gids === undefined ? [] : [`gidmap=${gids}`]];
}
