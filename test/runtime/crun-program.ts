import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';

/** crun refuses cgroup v1 with a second hierarchy that has controllers: a program that runs it where that one is not mounted. Removed with the result. */
export async function crunProgram(crun: string): Promise<{readonly path: string} & AsyncDisposable> {
	const directory = await mkdtemp(path.join(tmpdir(), 'keelson-crun-'));
	const file = path.join(directory, 'crun');
	await writeFile(file, `#!/bin/sh\nexec unshare -m sh -c 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec ${crun} "$@"' crun "$@"\n`);
	await chmod(file, 0o755);
	return {path: file, [Symbol.asyncDispose]: async () => rm(directory, {recursive: true, force: true})};
}
