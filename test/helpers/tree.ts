import {createHash} from 'node:crypto';
import {lstat, readdir, readFile, readlink} from 'node:fs/promises';
import {xattrs} from './xattrs.ts';

/** All that an unpacked entry is. Times in nanoseconds since 1970. */
export interface Entry {
	readonly type: number;
	readonly mode: string;
	readonly owner: string;
	readonly mtime: string;
	readonly nlink: number;
	/** The first path, in order, of those that are the same file; directories have none. */
	readonly first?: string;
	readonly size?: number;
	readonly sha256?: string;
	readonly link?: string;
	readonly device?: string;
	readonly xattrs: Readonly<Record<string, string>>;
}

const kinds = 0o170_000;

/** Every entry below a directory, by its path in latin1 (so that any byte has a character), in order; the root is `.`. */
export async function tree(root: string): Promise<Record<string, Entry>> {
	const entries: Record<string, Entry> = {};
	const seen = new Map<string, string>();
	const visit = async (path: string): Promise<void> => {
		const place = Buffer.from(path === '.' ? root : `${Buffer.from(root).toString('latin1')}/${path}`, path === '.' ? 'utf8' : 'latin1');
		const stat = await lstat(place, {bigint: true});
		const isDirectory = stat.isDirectory();
		const inode = `${stat.dev}:${stat.ino}`;
		const first = seen.get(inode) ?? path;
		seen.set(inode, first);
		const isDevice = stat.isCharacterDevice() || stat.isBlockDevice();
		entries[path] = {
			type: Number(stat.mode) & kinds,
			mode: (Number(stat.mode) & 0o7777).toString(8),
			owner: `${stat.uid}:${stat.gid}`,
			mtime: String(stat.mtimeNs),
			nlink: isDirectory ? 0 : Number(stat.nlink),
			...isDirectory ? {} : {first},
			...stat.isFile() ? {size: Number(stat.size), sha256: createHash('sha256').update(await readFile(place)).digest('hex')} : {},
			...stat.isSymbolicLink() ? {link: (await readlink(place, {encoding: 'buffer'})).toString('latin1')} : {},
			...isDevice ? {device: String(stat.rdev)} : {},
			xattrs: xattrs(place),
		};
		if (isDirectory) {
			const names = (await readdir(place, {encoding: 'buffer'})).map(name => name.toString('latin1')).toSorted();
			for (const name of names) {
				await visit(path === '.' ? name : `${path}/${name}`);
			}
		}
	};

	await visit('.');
	return entries;
}
