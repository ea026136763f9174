/** The parts of the OCI runtime spec that this client writes (runtime-spec config.md, config-linux.md); what else is in one is kept. */
export interface Spec {
	readonly ociVersion: string;
	readonly process: SpecProcess;
	readonly root: {readonly path: string; readonly readonly?: boolean};
	readonly hostname?: string;
	readonly mounts: readonly SpecMount[];
	readonly annotations?: Readonly<Record<string, string>>;
	readonly linux: SpecLinux;
	readonly [key: string]: unknown;
}

export interface SpecProcess {
	readonly terminal?: boolean;
	readonly consoleSize?: {readonly width: number; readonly height: number};
	readonly user: SpecUser;
	readonly args: readonly string[];
	readonly env: readonly string[];
	readonly cwd: string;
	readonly capabilities?: SpecCapabilities;
	readonly rlimits?: readonly {readonly type: string; readonly hard: number; readonly soft: number}[];
	readonly noNewPrivileges?: boolean;
	readonly [key: string]: unknown;
}

export interface SpecUser {
	readonly uid: number;
	readonly gid: number;
	readonly additionalGids?: readonly number[];
}

export interface SpecCapabilities {
	readonly bounding: readonly string[];
	readonly effective: readonly string[];
	readonly permitted: readonly string[];
	readonly inheritable?: readonly string[];
	readonly ambient?: readonly string[];
}

export interface SpecMount {
	/** In the container. */
	readonly destination: string;
	readonly type?: string;
	readonly source?: string;
	readonly options?: readonly string[];
}

export interface SpecLinux {
	readonly namespaces: readonly {readonly type: string; readonly path?: string}[];
	readonly cgroupsPath: string;
	readonly resources: SpecResources;
	readonly maskedPaths: readonly string[];
	readonly readonlyPaths: readonly string[];
	readonly [key: string]: unknown;
}

export interface SpecResources {
	readonly devices: readonly SpecDeviceRule[];
	readonly memory?: {readonly limit?: number};
	readonly cpu?: {readonly quota?: number; readonly period?: number};
	readonly pids?: {readonly limit: number};
	readonly [key: string]: unknown;
}

export interface SpecDeviceRule {
	readonly allow: boolean;
	readonly type?: string;
	readonly major?: number;
	readonly minor?: number;
	readonly access: string;
}
