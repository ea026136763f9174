import {createHash} from 'node:crypto';
import {lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {getAttribute, listAttributes} from '../../lib/sys/extended-attributes.ts';
import {statusAt} from '../../lib/sys/file-status.ts';

export interface ListingOptions {
	/** Leaves out times of directories, which nobody has set. */
	readonly isWithoutDirectoryTimes?: boolean;
}

/** All of a tree, a line each in the order of bytes: type, mode, owner, size, links, device, time, attributes, content. For comparing. */
export function listTree(root: string, options: ListingOptions = {}): readonly string[] {
	const lines: string[] = [];
	const firstNames = new Map<bigint, string>();
	const walk = (directory: Buffer): void => {
		for (const name of readdirSync(directory, {encoding: 'buffer'}).toSorted(Buffer.compare)) {
			const path = Buffer.concat([directory, Buffer.from('/'), name]);
			const status = lstatSync(path, {bigint: true});
			const shown = path.toString('latin1').slice(root.length);
			const first = status.isDirectory() || status.nlink === 1n ? '' : firstNames.get(status.ino) ?? shown;
			firstNames.set(status.ino, first);
			const {rdev, mtimeNs} = statusAt(-100, path);
			const attributes = listAttributes(path).toSorted(Buffer.compare).map(attribute => `${attribute.toString('latin1')}=${getAttribute(path, attribute)?.toString('hex')}`);
			lines.push([
				shown, status.mode.toString(8), `${status.uid}:${status.gid}`, status.isFile() ? status.size : '', first === '' ? '' : `=${first}`,
				`${rdev.major}:${rdev.minor}`, status.isDirectory() && options.isWithoutDirectoryTimes === true ? '' : mtimeNs, attributes.join(','),
				status.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12) : status.isSymbolicLink() ? readlinkSync(path, 'buffer').toString('latin1') : '',
			].join(' '));
			if (status.isDirectory()) {
				walk(path);
			}
		}
	};
	walk(Buffer.from(root));
	return lines;
}
