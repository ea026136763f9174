import {accessSync, constants} from 'node:fs';
import path from 'node:path';
import type {Compression} from './layer-compression.ts';
import {canInflate, type Library} from './library.ts';

/** A program that reads compressed bytes from its standard input and writes them inflated. */
export interface Program {
	readonly path: string;
	readonly args: readonly string[];
}

/** What inflates a layer: the thread itself that unpacks it, or another core beside it, by a program or by node's streams. */
export type Decompressor =
	| {readonly kind: 'within'; readonly library: Library}
	| {readonly kind: 'program'; readonly program: Program}
	| {readonly kind: 'stream'};

/** How much the machine has to do when a layer is begun. */
export interface Load {
	readonly cores: number;
	/** Layers that are worked on or wait for it, with this one. */
	readonly layers: number;
	/** Its bytes are still on their way, and hashed and written meanwhile. */
	readonly isComing: boolean;
}

/** What there is for each compression. */
export interface Decompressors {
	/** For the one that costs least processor time. */
	readonly within: Readonly<Record<Compression, Decompressor>>;
	/** For the one that is done first where a core has nothing else to do. */
	readonly beside: Readonly<Record<Compression, Decompressor>>;
}

const stream: Decompressor = {kind: 'stream'};

/** The fastest first. Each inflates concatenated members, and ends with an exit status that is not 0 when the input is cut short. */
const programs: Readonly<Record<Compression, readonly (readonly [string, readonly string[]])[]>> = {
	gzip: [['igzip', ['-d', '-c']], ['unpigz', ['-c']], ['pigz', ['-d', '-c']]],
	zstd: [['zstd', ['-d', '-c', '-q']]],
	none: [],
};

/** Looks for programs along PATH; undefined: for none. With igzip its library is used too, which is installed with it. */
export function findDecompressors(searchPath: string | undefined): Decompressors {
	const found = (compression: Compression): Program | undefined => programs[compression]
		.map(([name, args]) => ({path: findProgram(name, searchPath ?? ''), args}))
		.find((program): program is Program => program.path !== undefined);
	const gzip = found('gzip');
	const zstd = found('zstd');
	const libraries: readonly Library[] = gzip !== undefined && path.basename(gzip.path) === 'igzip' ? ['isal', 'zlib'] : ['zlib'];
	return {
		within: {gzip: within(libraries) ?? beside(gzip), zstd: within(['zstd']) ?? beside(zstd), none: stream},
		beside: {gzip: beside(gzip), zstd: beside(zstd), none: stream},
	};
}

/**
 * A process or thread beside the one that unpacks gets a layer done sooner while there are cores for both, and for fetching and hashing where that goes on; otherwise
 * it only costs: handing bytes over is a third of what inflating them takes.
 */
export function chooseDecompressor(found: Decompressors, compression: Compression, {cores, layers, isComing}: Load): Decompressor {
	return found[layers * 2 + (isComing ? 2 : 0) > cores ? 'within' : 'beside'][compression];
}

/** For the log. */
export function describe(decompressor: Decompressor): string {
	switch (decompressor.kind) {
		case 'within': {
			return `${decompressor.library} in the thread that unpacks`;
		}
		case 'program': {
			return decompressor.program.path;
		}
		case 'stream': {
			return 'node:zlib';
		}
	}
}

/** The first executable of this name along PATH; undefined where there is none. */
export function findProgram(name: string, searchPath: string): string | undefined {
	return searchPath.split(':').filter(directory => path.isAbsolute(directory)).map(directory => path.join(directory, name)).find(file => {
		try {
			accessSync(file, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

function within(libraries: readonly Library[]): Decompressor | undefined {
	const library = libraries.find(canInflate);
	return library === undefined ? undefined : {kind: 'within', library};
}

function beside(program: Program | undefined): Decompressor {
	return program === undefined ? stream : {kind: 'program', program};
}
