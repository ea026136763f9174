import {access, chmod, mkdir, rename, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {KeelsonError} from '../../../kernel/errors.ts';

/**
 * Writes the launcher of our own shim into `directory`: one executable file that works wherever it is copied, since all paths in it are
 * absolute. Resolves with its path.
 */
export async function writeLauncher(directory: string, {node, script, cache}: {readonly node: string; readonly script: string; readonly cache: string}): Promise<string> {
	const launcher = path.join(directory, 'containerd-shim-keelson-v2');
	await mkdir(directory, {recursive: true, mode: 0o711});
	const text = `#!/bin/sh\nKEELSON_NODE=${quote(node)} NODE_COMPILE_CACHE=${quote(cache)} exec ${quote(script)} "$@"\n`;
	// A shim may be starting with the one that is there.
	await writeFile(`${launcher}.new`, text, {mode: 0o700});
	await chmod(`${launcher}.new`, 0o700);
	await rename(`${launcher}.new`, launcher);
	return launcher;
}

/** The package's `bin/containerd-shim-keelson-v2`, in the nearest directory above this file that has it: compiled files lie deeper. */
export async function findShimScript(): Promise<string> {
	for (let directory = import.meta.dirname; directory !== '/'; directory = path.dirname(directory)) {
		const script = path.join(directory, 'bin', 'containerd-shim-keelson-v2');
		if (await access(script).then(() => true, () => false)) {
			return script;
		}
	}
	throw new KeelsonError('NOT_FOUND', `no bin/containerd-shim-keelson-v2 above ${import.meta.dirname}`);
}

function quote(word: string): string {
	return `'${word.replaceAll('\'', String.raw`'\''`)}'`;
}
