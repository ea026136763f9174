import {accessSync, constants} from 'node:fs';
import path from 'node:path';

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
