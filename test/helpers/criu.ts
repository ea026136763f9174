import {existsSync} from 'node:fs';
import {mkdtemp, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {runtimePrograms} from './releases.ts';

/** A folder for the PATH of daemons that has a criu which can dump on this kernel, and none of the newer runtimes that lie beside it. Removed with the result. */
export async function criuFolder(): Promise<{readonly path: string} & AsyncDisposable> {
	const program = path.join(runtimePrograms, 'criu');
	if (!existsSync(program)) {
		throw new Error(`no criu in ${runtimePrograms}: run scripts/setup test`);
	}
	const folder = await mkdtemp(path.join(tmpdir(), 'keelson-criu-'));
	await symlink(program, path.join(folder, 'criu'));
	return {path: folder, [Symbol.asyncDispose]: async () => rm(folder, {recursive: true, force: true})};
}
