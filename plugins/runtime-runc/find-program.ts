import {accessSync, constants, statSync} from 'node:fs';
import path from 'node:path';
import {KeelsonError} from '../../kernel/errors.ts';

/**
 * The absolute path of a program that is named by path or found on `searchPath` (as execvp(3) looks). Throws NOT_FOUND, naming it in quotes.
 */
export function findProgram(name: string, searchPath: string): string {
	if (name.includes('/')) {
		if (!path.isAbsolute(name) || !isExecutable(name)) {
			throw new KeelsonError('NOT_FOUND', `exec: ${JSON.stringify(name)}: no such executable file`);
		}
		return name;
	}
	for (const directory of searchPath.split(':')) {
		const candidate = path.join(directory, name);
		if (path.isAbsolute(directory) && name !== '' && isExecutable(candidate)) {
			return candidate;
		}
	}
	throw new KeelsonError('NOT_FOUND', `exec: ${JSON.stringify(name)}: executable file not found in $PATH`);
}

function isExecutable(file: string): boolean {
	try {
		accessSync(file, constants.X_OK);
		return statSync(file).isFile();
	} catch {
		return false;
	}
}
