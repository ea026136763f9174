/**
 * An OCI runtime: the program (runc, crun) that makes a container of a bundle (runtime-spec runtime.md). Used inside the shim's process, so it stands on
 * nothing but this contract.
 *
 *     create(bundle) ─► pid, namespaces exist, program waits ─► start ─► … ─► delete
 */

import {contract} from '../../kernel/contract.ts';

/** Descriptors that the process inherits; a number is dup-ed, `null` is /dev/null. */
export interface RuntimeStdio {
	readonly stdin: number | null;
	readonly stdout: number | null;
	readonly stderr: number | null;
}

export interface RuntimeCreate {
	readonly id: string;
	readonly bundle: string;
	readonly stdio: RuntimeStdio;
	/** A socket where the terminal's master end is handed over, instead of stdio. */
	readonly consoleSocket?: string;
	readonly pidFile: string;
	readonly noPivotRoot?: boolean;
	readonly noNewKeyring?: boolean;
	readonly signal?: AbortSignal;
}

export interface RuntimeExec {
	readonly id: string;
	/** A file with the OCI process as JSON. */
	readonly processFile: string;
	readonly stdio: RuntimeStdio;
	readonly consoleSocket?: string;
	readonly pidFile: string;
	readonly signal?: AbortSignal;
}

export interface RuntimeRestore extends RuntimeCreate {
	readonly imagePath: string;
	readonly workPath: string;
	/** A configuration file of CRIU's (criu(8)) for what the runtime itself does not tell it. */
	readonly criuConfig?: string | undefined;
}

export interface RuntimeCheckpoint {
	readonly imagePath: string;
	readonly workPath: string;
	readonly criuConfig?: string | undefined;
	readonly leaveRunning: boolean;
	readonly tcpEstablished?: boolean;
	readonly externalUnixSockets?: boolean;
	readonly shellJob?: boolean;
	readonly fileLocks?: boolean;
	readonly emptyNamespaces?: readonly string[];
	readonly cgroupsMode?: string;
	readonly signal?: AbortSignal;
}

export interface RuntimeState {
	readonly id: string;
	readonly pid: number;
	readonly status: 'creating' | 'created' | 'running' | 'stopped' | 'paused';
	readonly bundle: string;
}

/** Each rejects with the runtime's own words as the message: NOT_FOUND (no such container, no such binary), UNKNOWN otherwise. */
export interface OciRuntime {
	create(request: RuntimeCreate): Promise<number>;
	restore(request: RuntimeRestore): Promise<number>;
	start(id: string, signal?: AbortSignal): Promise<void>;
	exec(request: RuntimeExec): Promise<number>;
	kill(id: string, signalNumber: number, options?: {readonly all?: boolean; readonly signal?: AbortSignal}): Promise<void>;
	pause(id: string, signal?: AbortSignal): Promise<void>;
	resume(id: string, signal?: AbortSignal): Promise<void>;
	/** `resources`: an OCI LinuxResources as JSON. */
	update(id: string, resources: Uint8Array, signal?: AbortSignal): Promise<void>;
	/** Pids of every process in the container, as the host numbers them. */
	ps(id: string, signal?: AbortSignal): Promise<readonly number[]>;
	checkpoint(id: string, request: RuntimeCheckpoint): Promise<void>;
	delete(id: string, options?: {readonly force?: boolean; readonly signal?: AbortSignal}): Promise<void>;
	state(id: string, signal?: AbortSignal): Promise<RuntimeState>;
	/** The runtime's features document as JSON, undefined where the binary has no such command. */
	features(signal?: AbortSignal): Promise<Uint8Array | undefined>;
}

/** Chooses the binary and where its state lies, for one container. */
export interface OciRuntimeOptions {
	/** Name on the PATH, or absolute path. */
	readonly binary: string;
	/** The runtime's `--root`. */
	readonly root: string;
	/** Where its `--log` is written. */
	readonly log: string;
	readonly systemdCgroup: boolean;
}

export interface OciRuntimes {
	/** Cheap; throws NOT_FOUND, naming the binary in quotes, when it is not on the PATH. */
	open(options: OciRuntimeOptions): OciRuntime;
}

export const OciRuntimes = contract('io.keelson.oci-runtime.v1').for<OciRuntimes>();
