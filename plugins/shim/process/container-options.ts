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
