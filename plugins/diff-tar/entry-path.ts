import {KeelsonError} from '../../kernel/errors.ts';

/** A path below a tree's root, cleaned of empty parts, `.` and `..`. Bytes are kept as Latin 1, each a character, so that paths can be keys. */
export interface EntryPath {
	/** Of the directory; empty for the root. */
	readonly parent: string;
	/** Empty for the root itself. */
	readonly base: string;
}

/** Cleans a name in an archive; absolute ones count from the root. Rejects with INVALID_ARGUMENT for one that climbs out of it. */
export function entryPath(name: Buffer, what: string): EntryPath {
	const path = cleanPath(name.toString('latin1'));
	if (path === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `${what} ${JSON.stringify(name.toString('utf8', 0, 400))} points outside of the tree`);
	}
	return splitPath(path);
}

export function splitPath(path: string): EntryPath {
	const slash = path.lastIndexOf('/');
	return slash === -1 ? {parent: '', base: path} : {parent: path.slice(0, slash), base: path.slice(slash + 1)};
}

export function joinPath(parent: string, base: string): string {
	return parent === '' ? base : `${parent}/${base}`;
}

/** For the system: the bytes that were read. */
export function toBytes(path: string): Buffer {
	return Buffer.from(path, 'latin1');
}

export function show(path: string): string {
	return JSON.stringify(toBytes(path).toString('utf8', 0, 400));
}

/** @returns undefined for a path that climbs above its root; empty for the root */
export function cleanPath(path: string): string | undefined {
	if (!needsCleaning.test(path)) {
		return path;
	}
	let climbed = 0;
	const cleaned = walkParts(path, () => climbed++);
	return climbed > 0 ? undefined : cleaned;
}

/** Like cleanPath; what climbs above the root stays at it, as for the kernel. */
export function clampPath(path: string): string {
	return walkParts(path, () => undefined);
}

function walkParts(path: string, onClimb: () => void): string {
	const parts: string[] = [];
	for (const part of path.split('/')) {
		if (part === '..') {
			if (parts.pop() === undefined) {
				onClimb();
			}
		} else if (part !== '' && part !== '.') {
			parts.push(part);
		}
	}
	return parts.join('/');
}

const needsCleaning = /(?:^|\/)(?:\.{0,2})(?:\/|$)/;
