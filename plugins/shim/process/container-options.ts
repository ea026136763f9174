import {readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';

/** What a client may choose of the runtime, for one container (containerd.runc.v1.Options). */
export interface ContainerOptions {
	/** Name on the PATH, or absolute path. Empty: runc. */
	readonly binaryName: string;
	/** Where the runtime keeps state, a directory a namespace; empty: the shim's default. */
	readonly root: string;
	readonly systemdCgroup: boolean;
	readonly noPivotRoot: boolean;
	readonly noNewKeyring: boolean;
	readonly ioUid: number;
	readonly ioGid: number;
	readonly shimCgroup: string;
	readonly criuImagePath: string;
	readonly criuWorkPath: string;
}

export interface CheckpointOptions {
	readonly exit: boolean;
	readonly openTcp: boolean;
	readonly externalUnixSockets: boolean;
	readonly terminal: boolean;
	readonly fileLocks: boolean;
	readonly emptyNamespaces: readonly string[];
	readonly cgroupsMode: string;
	readonly imagePath: string;
	readonly workPath: string;
}

/** Keeps in the bundle, as containerd's shim does, what `delete` must know when this process is gone: options.json with the message's own names, and the binary in `runtime`. */
export function recordOptions(bundle: string, options: ContainerOptions): void {
	const {binaryName, root, systemdCgroup, noPivotRoot, noNewKeyring, ioUid, ioGid, shimCgroup, criuImagePath, criuWorkPath} = options;
	const given = Object.entries({
		binary_name: binaryName, root, systemd_cgroup: systemdCgroup, no_pivot_root: noPivotRoot, no_new_keyring: noNewKeyring, io_uid: ioUid, io_gid: ioGid,
		shim_cgroup: shimCgroup, criu_image_path: criuImagePath, criu_work_path: criuWorkPath,
	}).filter(([, value]) => value !== '' && value !== false && value !== 0);
	writeFileSync(path.join(bundle, 'options.json'), JSON.stringify(Object.fromEntries(given)), {mode: 0o600});
	writeFileSync(path.join(bundle, 'runtime'), binaryName, {mode: 0o600});
}

/** What `recordOptions` wrote; all defaults where nothing did. */
export function recordedOptions(bundle: string): ContainerOptions {
	const given = readOptions(bundle);
	const text = (name: string): string => typeof given[name] === 'string' ? given[name] : '';
	const number = (name: string): number => typeof given[name] === 'number' ? given[name] : 0;
	return {
		binaryName: text('binary_name'), root: text('root'), systemdCgroup: given['systemd_cgroup'] === true, noPivotRoot: given['no_pivot_root'] === true,
		noNewKeyring: given['no_new_keyring'] === true, ioUid: number('io_uid'), ioGid: number('io_gid'), shimCgroup: text('shim_cgroup'),
		criuImagePath: text('criu_image_path'), criuWorkPath: text('criu_work_path'),
	};
}

function readOptions(bundle: string): Readonly<Record<string, unknown>> {
	try {
		return JSON.parse(readFileSync(path.join(bundle, 'options.json'), 'utf8')) as Readonly<Record<string, unknown>>;
	} catch {
		return {};
	}
}
