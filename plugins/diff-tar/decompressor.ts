import {accessSync, constants} from 'node:fs';
import path from 'node:path';
import type {Compression} from './layer-compression.ts';

/** A program that reads compressed bytes from its standard input and writes them inflated. */
export interface Program {
	readonly path: string;
	readonly args: readonly string[];
}

/** The fastest first. Each inflates concatenated members, and ends with an exit status that is not 0 when the input is cut short. */
const programs: Readonly<Record<Compression, readonly (readonly [string, readonly string[]])[]>> = {
	gzip: [['igzip', ['-d', '-c']], ['unpigz', ['-c']], ['pigz', ['-d', '-c']]],
	zstd: [['zstd', ['-d', '-c', '-q']]],
	none: [],
};

/** Looks for programs along PATH, once, at start. */
export function findDecompressors(searchPath: string): Readonly<Partial<Record<Compression, Program>>> {
	const found: Partial<Record<Compression, Program>> = {};
	for (const compression of ['gzip', 'zstd'] as const) {
		for (const [name, args] of programs[compression]) {
			const file = findProgram(name, searchPath);
			if (file !== undefined) {
				found[compression] ??= {path: file, args};
			}
		}
	}
	return found;
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
