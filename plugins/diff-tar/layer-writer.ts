import {KeelsonError} from '../../kernel/errors.ts';
import {statusAt} from '../../lib/sys/file-status.ts';
import {encodeTarHeader, endMark, padding, type WrittenEntry} from '../../lib/tar/tar-writer.ts';
import {joinPath, show, splitPath, toBytes} from './entry-path.ts';
import {readFully, type Change} from './tree-changes.ts';
import {attributesOf, isDirectory, linkTarget, openFile, typeOf, type TreeFile} from './tree-file.ts';
import {opaqueMark, whiteoutPrefix} from './whiteout.ts';

export interface LayerWriterOptions {
	/** The root of the tree whose changes are written. */
	readonly upper: number;
	/** Times beyond it become it. */
	readonly latestNs: bigint | undefined;
	/** Another owner than the file has. */
	readonly ownerOf?: (file: {readonly uid: number; readonly gid: number}) => {readonly uid: number; readonly gid: number};
}

/**
 * Writes changes as a layer's tar. Directories above a change are in it too, so that whoever applies it has their owner and mode.
 * Names of one file are hard links, and an unmodified name is in it where another name of the same file is.
 */
export class LayerWriter {
	readonly #options: LayerWriterOptions;
	readonly #writtenDirectories = new Set<string>(['']);
	/** Where a file with several names was written first, by inode. */
	readonly #first = new Map<string, string>();
	/** Unmodified names of a file, of which none is written yet. */
	readonly #unmodified = new Map<string, string[]>();

	constructor(options: LayerWriterOptions) {
		this.#options = options;
	}

	/** The tar, in pieces that are valid until the next is asked for. */
	* write(changes: Iterable<Change>): Iterable<Buffer> {
		for (const change of changes) {
			switch (change.kind) {
				case 'removed': {
					const {parent, base} = splitPath(change.path);
					yield * this.#writeMark(parent, `${whiteoutPrefix}${base}`);
					break;
				}
				case 'opaque': {
					yield * this.#writeMark(change.path, opaqueMark);
					break;
				}
				case 'added':
				case 'modified': {
					yield * this.#writeFile(change.file);
					break;
				}
				case 'unmodified': {
					yield * this.#passUnmodified(change.file);
					break;
				}
			}
		}
		yield endMark;
	}

	* #writeMark(directory: string, base: string): Iterable<Buffer> {
		yield * this.#writeParents(directory);
		yield encodeTarHeader({...nothing, name: toBytes(joinPath(directory, base)), mode: 0});
	}

	* #writeFile(file: TreeFile): Iterable<Buffer> {
		const type = typeOf(file);
		if (type === 'socket') {
			return;
		}
		yield * this.#writeParents(splitPath(file.path).parent);
		if (type === 'directory') {
			this.#writtenDirectories.add(file.path);
		}
		const inode = inodeOf(file);
		const first = inode === undefined ? undefined : this.#first.get(inode);
		if (first !== undefined) {
			yield this.#header(file, 'link', first);
			return;
		}
		yield this.#header(file, type);
		if (type === 'file') {
			yield * this.#writeBytes(file);
		}
		if (inode !== undefined) {
			this.#first.set(inode, file.path);
			for (const path of this.#unmodified.get(inode) ?? []) {
				yield * this.#writeParents(splitPath(path).parent);
				yield this.#header({...file, path}, 'link', file.path);
			}
			this.#unmodified.delete(inode);
		}
	}

	* #passUnmodified(file: TreeFile): Iterable<Buffer> {
		const inode = inodeOf(file);
		if (inode === undefined) {
			return;
		}
		if (this.#first.has(inode)) {
			yield * this.#writeFile(file);
			return;
		}
		this.#unmodified.set(inode, [...this.#unmodified.get(inode) ?? [], file.path]);
	}

	* #writeParents(path: string): Iterable<Buffer> {
		if (this.#writtenDirectories.has(path)) {
			return;
		}
		const {parent, base} = splitPath(path);
		yield * this.#writeParents(parent);
		this.#writtenDirectories.add(path);
		const {upper} = this.#options;
		yield this.#header({path, directory: upper, name: toBytes(path), status: statusAt(upper, toBytes(path === '' ? base : path))}, 'directory');
	}

	#header(file: TreeFile, type: WrittenEntry['type'], linkTo?: string): Buffer {
		const {latestNs, ownerOf} = this.#options;
		const {mode, size, mtimeNs, rdev} = file.status;
		const {uid, gid} = ownerOf?.(file.status) ?? file.status;
		return encodeTarHeader({
			name: toBytes(type === 'directory' ? `${file.path}/` : file.path),
			type,
			mode: mode & 0o7777,
			uid,
			gid,
			size: type === 'file' ? Number(size) : 0,
			mtimeNs: latestNs !== undefined && mtimeNs > latestNs ? latestNs : mtimeNs,
			linkName: linkTo !== undefined ? toBytes(linkTo) : type === 'symlink' ? linkTarget(file) : nothing.linkName,
			device: type === 'character' || type === 'block' ? rdev : nothing.device,
			attributes: attributesOf(file),
		});
	}

	* #writeBytes(file: TreeFile): Iterable<Buffer> {
		const size = Number(file.status.size);
		using opened = openFile(file);
		for (let at = 0; at < size;) {
			// A new one each time: the last may still be read by a compressing thread.
			const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, size - at));
			if (readFully(opened.fd, buffer, at) < buffer.length) {
				throw new KeelsonError('ABORTED', `${show(file.path)} became shorter than ${size} bytes while it was read`);
			}
			yield buffer;
			at += buffer.length;
		}
		yield padding(size);
	}
}

function inodeOf(file: TreeFile): string | undefined {
	const {nlink, ino, device} = file.status;
	return nlink > 1 && !isDirectory(file) ? `${device.major}:${device.minor}:${ino}` : undefined;
}

const chunkBytes = 256 * 1024;
const nothing: WrittenEntry = {
	name: Buffer.alloc(0), type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtimeNs: 0n, linkName: Buffer.alloc(0), device: {major: 0, minor: 0}, attributes: [],
};
