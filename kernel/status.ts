/** How a plugin stands. */
export interface PluginStatus {
	/** The full id. */
	readonly id: string;
	/** The contract's type: the first half of the id. */
	readonly type: string;
	/** The second half of the id. */
	readonly name: string;
	/** The types of the contracts that it requires. */
	readonly requires: readonly string[];
	readonly exports: Readonly<Record<string, string>>;
	readonly capabilities: readonly string[];
	readonly state: 'waiting' | 'starting' | 'started' | 'skipped' | 'failed' | 'stopped';
	/** Why it is skipped or failed; a skipped one's message contains `skip plugin`. */
	readonly error?: Error;
	/** Milliseconds that init took, once it ended. */
	readonly initMs?: number;
}

/** What the kernel knows of its plugins, in boot order. */
export interface KernelStatus {
	plugins(): readonly PluginStatus[];
	/** What a started plugin adds to its own exports, once it knows (a path, a port). Unknown ids are refused. */
	export(id: string, exports: Readonly<Record<string, string>>): void;
}
