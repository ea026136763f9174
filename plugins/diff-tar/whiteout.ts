import {KeelsonError} from '../../kernel/errors.ts';
import {show} from './entry-path.ts';

export const whiteoutPrefix = '.wh.';
export const opaqueMark = '.wh..wh..opq';

export type Whiteout =
	/** All that the layers below have in the directory is gone. */
	| {readonly kind: 'opaque'}
	/** What the layers below have by this name is gone. */
	| {readonly kind: 'removed'; readonly base: string};

/** What a name in a layer means (image-spec layer.md, Whiteouts); undefined for an ordinary one. Rejects with INVALID_ARGUMENT for one that hides no name. */
export function whiteoutOf(base: string): Whiteout | undefined {
	if (!base.startsWith(whiteoutPrefix)) {
		return undefined;
	}
	if (base === opaqueMark) {
		return {kind: 'opaque'};
	}
	const removed = base.slice(whiteoutPrefix.length);
	if (removed === '' || removed === '.' || removed === '..') {
		throw new KeelsonError('INVALID_ARGUMENT', `whiteout ${show(base)} points outside of its directory`);
	}
	return {kind: 'removed', base: removed};
}
