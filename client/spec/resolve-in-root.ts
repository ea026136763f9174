import {lstat, readlink} from 'node:fs/promises';
import {join} from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';

const LINKS_MAX = 40;

/**
 * The path at which a file of another root lies, its links followed as a process with that root would follow them: none leads outside.
 * Holds only while nobody else writes below the root. Undefined where there is no such file. Rejects with INVALID_ARGUMENT after 40 links.
 */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
	let rest = path.split('/');
	let inside: string[] = [];
	let links = 0;
	while (rest.length > 0) {
		const [name = '', ...after] = rest;
		rest = after;
		if (name === '' || name === '.') {
			continue;
		}
		if (name === '..') {
			inside = inside.slice(0, -1);
			continue;
		}
		const here = join(root, ...inside, name);
		const stat = await lstat(here).catch(absent);
		if (stat === undefined) {
			return undefined;
		}
		if (!stat.isSymbolicLink()) {
			inside.push(name);
			continue;
		}
		links += 1;
		if (links > LINKS_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `${path} of the image leads through more than ${LINKS_MAX} links`);
		}
		const target = await readlink(here);
		inside = target.startsWith('/') ? [] : inside;
		rest = [...target.split('/'), ...rest];
	}
	return join(root, ...inside);
}

function absent(error: unknown): undefined {
	const code = error instanceof Error && 'code' in error ? error.code : undefined;
	if (code !== 'ENOENT' && code !== 'ENOTDIR') {
		throw error;
	}
}
