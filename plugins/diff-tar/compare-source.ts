import type {Mount} from '../../contracts/oci/mount.ts';
import {overlayDirectories} from './apply-target.ts';

/**
 * The upper directory that is exactly the difference between two sets of mounts: the upper ones are one overlay whose other layers are
 * those of the lower ones. Undefined where the trees themselves have to be compared. Pure.
 */
export function findUpper(lower: readonly Mount[], upper: readonly Mount[]): {readonly upper: string; readonly opaque: string} | undefined {
	const below = layersOf(lower);
	const [first, ...others] = layersOf(upper) ?? [];
	const [mount] = upper;
	if (below === undefined || below.length === 0 || first === undefined || mount?.type !== 'overlay' || others.join('\0') !== below.join('\0')) {
		return undefined;
	}
	// With those an upper directory may refer to data that is elsewhere.
	if (mount.options.some(option => /^(?:redirect_dir|metacopy)=(?!off|nofollow)/.test(option))) {
		return undefined;
	}
	return {upper: first, opaque: mount.options.includes('userxattr') ? 'user.overlay.opaque' : 'trusted.overlay.opaque'};
}

/** The same mounts, but nothing can be written: an overlay that is mounted elsewhere must not have its upper directory mounted again. */
export function toReadOnly(mounts: readonly Mount[]): readonly Mount[] {
	return mounts.map(mount => {
		const {type, options} = mount;
		if (type !== 'overlay') {
			return {...mount, options: [...options.filter(option => option !== 'rw'), 'ro']};
		}
		const upper = options.find(option => option.startsWith('upperdir='))?.slice('upperdir='.length);
		const kept = options.filter(option => !/^(?:upperdir|workdir)=|^volatile$/.test(option));
		return {...mount, options: upper === undefined ? kept : kept.map(option => option.startsWith('lowerdir=') ? `lowerdir=${upper}:${option.slice('lowerdir='.length)}` : option)};
	});
}

/** The one directory that a bind mount shows; undefined for other mounts. */
export function boundDirectory(mounts: readonly Mount[]): string | undefined {
	const [mount] = mounts;
	return mounts.length === 1 && mount?.type === 'bind' && ['', '/', '.'].includes(mount.target) ? mount.source : undefined;
}

/** The directories that mounts stack, the uppermost first; undefined for other mounts. */
export function layersOf(mounts: readonly Mount[]): readonly string[] | undefined {
	const [mount] = mounts;
	const bound = boundDirectory(mounts);
	if (bound !== undefined) {
		return [bound];
	}
	if (mounts.length !== 1 || mount?.type !== 'overlay') {
		return undefined;
	}
	const {upper, lower} = overlayDirectories(mount);
	return upper === undefined ? lower : [upper, ...lower];
}
