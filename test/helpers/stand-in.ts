import {chmod, mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {keelson, keelsondPath, type KeelsonOptions} from './keelson-program.ts';
import type {Program} from './daemon.ts';

/** Writes a program named `containerd` that is keelsond; resolves with the folder that has it. */
export async function writeStandIn(directory: string): Promise<string> {
	const folder = path.join(directory, 'stand-in');
	await mkdir(folder, {recursive: true});
	await writeFile(path.join(folder, 'containerd'), `#!/bin/sh\nexec ${keelsondPath} "$@"\n`);
	await chmod(path.join(folder, 'containerd'), 0o755);
	return folder;
}

/** keelson, started under containerd's name. */
export function standIn(options: KeelsonOptions = {}): Program {
	const program = keelson(options);
	return {
		...program,
		name: 'keelson as containerd',
		async prepare(places) {
			const prepared = await program.prepare(places);
			return {...prepared, file: path.join(await writeStandIn(places.directory), 'containerd')};
		},
	};
}
