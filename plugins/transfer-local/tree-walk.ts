import type {Descriptor} from '../../contracts/oci/descriptor.ts';
import {isIndex} from '../../contracts/oci/media-type.ts';
import {formatPlatform} from '../../contracts/oci/platform.ts';
import {KeelsonError} from '../../kernel/errors.ts';

const DEPTH_MAX = 8;
const DOCUMENTS_MAX = 20_000;

/** Keeps a walk through indexes of indexes finite: a few of them that name each other many times are a tree of millions. */
export class TreeWalk {
	readonly #seen = new Set<string>();

	/** False when it was entered before. Throws INVALID_ARGUMENT when the tree is too deep or has too many documents. */
	enter({digest, mediaType, platform}: Descriptor, depth: number): boolean {
		// An index may list one manifest for two platforms, and each may be unpacked in its own way.
		const key = isIndex(mediaType) || platform === undefined ? digest : `${digest} ${formatPlatform(platform)}`;
		if (this.#seen.has(key)) {
			return false;
		}
		if (depth > DEPTH_MAX || this.#seen.size >= DOCUMENTS_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `index tree at ${digest} is ${depth} deep and has ${this.#seen.size} documents, at most ${DEPTH_MAX} and ${DOCUMENTS_MAX} are followed`);
		}
		this.#seen.add(key);
		return true;
	}
}
