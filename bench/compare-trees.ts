import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import {tree, type Entry} from '../test/helpers/tree.ts';
import type {Contestant} from './contestants.ts';

/** Entry by entry: type, mode, owner, mtime, size, content, link target, device, xattrs, and which names are the same file. */
export async function compareTrees(ours: Contestant, peer: Contestant, image: string): Promise<{entries: number; differences: string[]}> {
	const [mine, theirs] = [await mounted(ours, image), await mounted(peer, image)];
	const names = [...new Set([...Object.keys(mine), ...Object.keys(theirs)])];
	const differences = names.flatMap(name => {
		const [one, other] = [mine[name], theirs[name]];
		return isDeepStrictEqual(one, other) ? [] : [`${name}: ours ${JSON.stringify(one)}, containerd's ${JSON.stringify(other)}`];
	});
	return {entries: names.length, differences};
}

async function mounted({ctr, daemon}: Contestant, image: string): Promise<Record<string, Entry>> {
	const target = path.join(daemon.scratch, 'tree');
	await mkdir(target, {recursive: true});
	await ctr.ok('images', 'mount', image, target);
	try {
		const {'.': _root, ...entries} = await tree(target);
		return entries;
	} finally {
		await ctr.ok('images', 'unmount', '--rm', target);
	}
}
