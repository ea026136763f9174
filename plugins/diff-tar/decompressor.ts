import type {Compression} from './layer-compression.ts';
import {canInflate, type Library, type Side} from './library.ts';

/** What inflates a layer: a library, or node's streams where none can. */
export type Decompressor =
	| {readonly kind: 'library'; readonly library: Library; readonly side: Side}
	| {readonly kind: 'stream'};

/** How much the machine has to do when a layer is begun. */
export interface Load {
	readonly cores: number;
	/** Layers that are worked on or wait for it, with this one. */
	readonly layers: number;
	/** Its bytes are still on their way, and hashed and written meanwhile. */
	readonly isComing: boolean;
}

/** The library for each compression; undefined where there is none. */
export type Decompressors = Readonly<Record<Compression, Library | undefined>>;

/** Tries what there is, which takes some milliseconds: not at the daemon's start. @param takesSystem also libraries of the system's, beside those that node is made of */
export async function findDecompressors(takesSystem: boolean): Promise<Decompressors> {
	return {gzip: await firstOf(takesSystem ? ['isal', 'zlib'] : ['zlib']), zstd: await firstOf(['zstd']), none: undefined};
}

/** A thread beside the one that unpacks gets a layer done sooner while there are cores for both, and for fetching and hashing where that goes on; otherwise it only costs. */
export function chooseSide({cores, layers, isComing}: Load): Side {
	return layers * 2 + (isComing ? 2 : 0) > cores ? 'within' : 'beside';
}

export function decompressorOf(found: Decompressors, compression: Compression, side: Side): Decompressor {
	const library = found[compression];
	return library === undefined ? {kind: 'stream'} : {kind: 'library', library, side};
}

const trials = new Map<Library, Promise<boolean>>();

async function firstOf(libraries: readonly Library[]): Promise<Library | undefined> {
	for (const library of libraries) {
		const trial = trials.get(library) ?? canInflate(library);
		trials.set(library, trial);
		if (await trial) {
			return library;
		}
	}
	return undefined;
}
