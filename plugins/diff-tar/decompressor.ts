import type {Compression} from './layer-compression.ts';
import {canInflate, type Library, type Side} from './library.ts';

/** Which libraries may inflate: those of the system before those that node is made of; only the latter; or none, as with a node that exports none. */
export type Libraries = 'system' | 'own' | 'none';

/** How a layer is inflated, as a worker is told. */
export interface Inflation {
	readonly libraries: Libraries;
	readonly side: Side;
}

/** How much the machine has to do when a layer is begun. */
export interface Load {
	readonly cores: number;
	/** Layers that are worked on or wait for it, with this one. */
	readonly layers: number;
	/** Its bytes are still on their way, and hashed and written meanwhile. */
	readonly isComing: boolean;
}

/** A thread beside the one that unpacks gets a layer done sooner while there are cores for both, and for fetching and hashing where that goes on; otherwise it only costs. */
export function chooseSide({cores, layers, isComing}: Load): Side {
	return layers * 2 + (isComing ? 2 : 0) > cores ? 'within' : 'beside';
}

/** The first that proves itself; undefined where none does, and node's streams must. The first time in a thread takes some milliseconds: not for the daemon's event loop. */
export async function findLibrary(compression: Exclude<Compression, 'none'>, libraries: Libraries): Promise<Library | undefined> {
	for (const library of candidates[libraries][compression]) {
		const trial = trials.get(library) ?? canInflate(library);
		trials.set(library, trial);
		if (await trial) {
			return library;
		}
	}
	return undefined;
}

const candidates: Readonly<Record<Libraries, Readonly<Record<Exclude<Compression, 'none'>, readonly Library[]>>>> = {
	system: {gzip: ['isal', 'zlib'], zstd: ['zstd']},
	own: {gzip: ['zlib'], zstd: ['zstd']},
	none: {gzip: [], zstd: []},
};

const trials = new Map<Library, Promise<boolean>>();
