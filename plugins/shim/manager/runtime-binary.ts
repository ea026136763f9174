import {access, constants} from 'node:fs/promises';
import path from 'node:path';
import {KeelsonError} from '../../../kernel/errors.ts';

/** Runtime names that our own shim serves. */
const ownNames = new Set(['io.containerd.runc.v2', 'io.keelson.v2', 'io.containerd.keelson.v2']);

export interface RuntimeSearch {
	/** Our own shim's launcher. */
	readonly own: string;
	/** As in PATH. */
	readonly searchPath: string;
	/** Runtime name to absolute path, above all else. */
	readonly overrides: Readonly<Record<string, string>>;
	/** Runtime name to the OCI runtime that our own shim drives for it, where a client's options name none: a name on the PATH, or an absolute path. */
	readonly ociRuntimes: Readonly<Record<string, string>>;
}

/**
 * The shim's binary for a runtime's name: `a.b.c.vN` is `containerd-shim-c-vN` on the PATH, an absolute path is itself.
 * Rejects with INVALID_ARGUMENT for another name, NOT_FOUND when there is no such binary.
 */
export async function findRuntimeBinary(name: string, {own, searchPath, overrides, ociRuntimes}: RuntimeSearch): Promise<string> {
	const override = overrides[name];
	if (override !== undefined) {
		return expectExecutable(override, name);
	}
	if (ownNames.has(name) || Object.hasOwn(ociRuntimes, name)) {
		return own;
	}
	if (path.isAbsolute(name)) {
		return expectExecutable(name, name);
	}
	const file = binaryNameOf(name);
	for (const directory of searchPath.split(':').filter(one => path.isAbsolute(one))) {
		const candidate = path.join(directory, file);
		if (await isExecutable(candidate)) {
			return candidate;
		}
	}
	throw new KeelsonError('NOT_FOUND', `runtime ${JSON.stringify(name)} binary not installed ${JSON.stringify(file)}: file does not exist`);
}

function binaryNameOf(name: string): string {
	const parts = name.split('.');
	const [kind = '', version = ''] = parts.slice(-2);
	if (parts.length < 3 || !/^v\d+$/.test(version) || !/^[A-Za-z0-9_-]+$/.test(kind)) {
		throw new KeelsonError('INVALID_ARGUMENT', `invalid runtime name ${JSON.stringify(name.slice(0, 200))}: expected such as io.containerd.runc.v2, or an absolute path`);
	}
	return `containerd-shim-${kind}-${version}`;
}

async function expectExecutable(file: string, name: string): Promise<string> {
	if (!await isExecutable(file)) {
		throw new KeelsonError('NOT_FOUND', `runtime ${JSON.stringify(name)}: ${JSON.stringify(file)} is no executable file`);
	}
	return file;
}

async function isExecutable(file: string): Promise<boolean> {
	return access(file, constants.X_OK).then(() => true, () => false);
}
