import {readSync} from 'node:fs';
import {getAttribute} from '../../lib/sys/extended-attributes.ts';
import {attributesOf, isDirectory, isWhiteout, linkTarget, listFiles, openDirectory, openFile, typeOf, type TreeFile} from './tree-file.ts';

/** What makes of one tree another. Directories come before what is in them; files are valid until the next change is asked for. */
export type Change =
	| {readonly kind: 'added' | 'modified' | 'unmodified'; readonly file: TreeFile}
	| {readonly kind: 'removed'; readonly path: string}
	/** All that was in the directory before is removed. */
	| {readonly kind: 'opaque'; readonly path: string};

/** Walks two trees in step. @param lower undefined where all is new */
export function * compareTrees(lower: number | undefined, upper: number, path = ''): Iterable<Change> {
	const before = new Map(lower === undefined ? [] : listFiles(lower, path).map(file => [file.path, file]));
	const after = listFiles(upper, path);
	const left = new Set(after.map(file => file.path));
	for (const old of before.values()) {
		if (!left.has(old.path)) {
			yield {kind: 'removed', path: old.path};
		}
	}
	for (const file of after) {
		const old = before.get(file.path);
		yield {kind: old === undefined ? 'added' : isSame(old, file) ? 'unmodified' : 'modified', file};
		if (isDirectory(file)) {
			using inner = openDirectory(file);
			using innerBefore = old !== undefined && isDirectory(old) ? openDirectory(old) : undefined;
			yield * compareTrees(innerBefore?.fd, inner.fd, file.path);
		}
	}
}

/** Reads the changes off the upper directory of an overlay, with no look at those below. */
export function * readUpper(upper: number, opaque: string, path = ''): Iterable<Change> {
	for (const file of listFiles(upper, path)) {
		if (isWhiteout(file)) {
			yield {kind: 'removed', path: file.path};
			continue;
		}
		yield {kind: 'modified', file};
		if (isDirectory(file)) {
			using inner = openDirectory(file);
			if (getAttribute(inner.fd, opaque)?.toString() === 'y') {
				yield {kind: 'opaque', path: file.path};
			}
			yield * readUpper(inner.fd, opaque, file.path);
		}
	}
}

function isSame(a: TreeFile, b: TreeFile): boolean {
	const [one, other] = [a.status, b.status];
	if (one.mode !== other.mode || one.uid !== other.uid || one.gid !== other.gid || one.rdev.major !== other.rdev.major || one.rdev.minor !== other.rdev.minor) {
		return false;
	}
	if (!isDirectory(a) && (one.size !== other.size || one.mtimeNs !== other.mtimeNs)) {
		return false;
	}
	return hasSameAttributes(a, b) && (one.mtimeNs % 1_000_000_000n !== 0n || hasSameContent(a, b));
}

function hasSameAttributes(a: TreeFile, b: TreeFile): boolean {
	const [ones, others] = [attributesOf(a), attributesOf(b)];
	return ones.length === others.length && ones.every(({name, value}, at) => name.equals(others[at]?.name ?? none) && value.equals(others[at]?.value ?? none));
}

// Times without a fraction may have been cut, so that they do not tell.
function hasSameContent(a: TreeFile, b: TreeFile): boolean {
	const type = typeOf(a);
	if (type === 'symlink') {
		return linkTarget(a).equals(linkTarget(b));
	}
	return type !== 'file' || a.status.size === 0n || hasSameBytes(a, b);
}

function hasSameBytes(a: TreeFile, b: TreeFile): boolean {
	using one = openFile(a);
	using other = openFile(b);
	const [buffer, otherBuffer] = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)];
	for (let at = 0; ; at += chunkBytes) {
		const length = readFully(one.fd, buffer, at);
		const otherLength = readFully(other.fd, otherBuffer, at);
		if (!buffer.subarray(0, length).equals(otherBuffer.subarray(0, otherLength))) {
			return false;
		}
		if (length < chunkBytes) {
			return true;
		}
	}
}

/** @returns less than the buffer's size only at the end of the file */
export function readFully(fd: number, buffer: Buffer, position: number): number {
	let filled = 0;
	while (filled < buffer.length) {
		const length = readSync(fd, buffer, filled, buffer.length - filled, position + filled);
		if (length === 0) {
			break;
		}
		filled += length;
	}
	return filled;
}

const chunkBytes = 256 * 1024;
const none = Buffer.alloc(0);
