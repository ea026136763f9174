import type {Mount} from '../../contracts/oci/mount.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {splitLayers} from '../../lib/sys/overlay-mount.ts';

/** Where a layer's files go. */
export type ApplyTarget =
	/** The tree itself. */
	| {readonly kind: 'merged'; readonly root: string}
	/** The upper directory of an overlay; lower layers, the nearest first. Undefined: they are not known yet. */
	| {readonly kind: 'overlay'; readonly root: string; readonly lower: readonly string[] | undefined; readonly opaque: string};

/** An upper directory whose lower layers are not known yet. Rejects with UNIMPLEMENTED for other mounts. */
export function findApart(mounts: readonly Mount[]): Extract<ApplyTarget, {kind: 'overlay'}> {
	const target = findTarget(mounts);
	if (target?.kind !== 'overlay') {
		throw new KeelsonError('UNIMPLEMENTED', `a layer can be applied apart to the upper directory of an overlay, and not to ${mounts.map(({type}) => type).join(', ') || 'nothing'}`);
	}
	return {...target, lower: undefined};
}

/** The directory that stands for these mounts with no need to mount; undefined where they must be mounted. Rejects with FAILED_PRECONDITION for a read-only tree. */
export function findTarget(mounts: readonly Mount[]): ApplyTarget | undefined {
	const [mount] = mounts;
	if (mount === undefined || mounts.length > 1 || !['', '/', '.'].includes(mount.target)) {
		return undefined;
	}
	const {type, source, options} = mount;
	if (options.includes('ro')) {
		throw new KeelsonError('FAILED_PRECONDITION', `cannot apply a layer to ${type} of ${source}: it is read-only`);
	}
	if (type === 'bind' || options.includes('bind') || options.includes('rbind')) {
		return {kind: 'merged', root: source};
	}
	const {upper, lower} = overlayDirectories(mount);
	if (upper === undefined || options.some(option => /^(?:redirect_dir|metacopy|verity)=(?!off|nofollow)/.test(option))) {
		return undefined;
	}
	return {kind: 'overlay', root: upper, lower, opaque: options.includes('userxattr') ? 'user.overlay.opaque' : 'trusted.overlay.opaque'};
}

/** The directories that an overlay mount's options name; `lower` is empty for any other mount. */
export function overlayDirectories({type, options}: Mount): {readonly upper: string | undefined; readonly lower: readonly string[]} {
	const value = (name: string): string | undefined => options.findLast(option => option.startsWith(`${name}=`))?.slice(name.length + 1);
	if (type !== 'overlay') {
		return {upper: undefined, lower: []};
	}
	const lower = value('lowerdir');
	return {upper: value('upperdir'), lower: lower === undefined ? [] : splitLayers(lower)};
}
