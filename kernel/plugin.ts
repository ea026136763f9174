import type {ZodType, output} from 'zod';
import type {Container} from './container.ts';
import type {Contract, ContractType} from './contract.ts';
import type {Logger} from './log.ts';
import type {Answers, Requirement} from './requirement.ts';
import type {KernelStatus} from './status.ts';

export type PluginId = `${ContractType}.${string}`;

/** What init is called with. */
export interface InitContext<Config, Services> {
	/** The plugin's own table of config.toml, checked by its schema and with defaults filled in. */
	readonly config: Config;
	/** What it asked for under `requires`, by the same names. */
	readonly services: Services;
	/** A directory for what is kept across restarts; made (0700) before init. */
	readonly root: string;
	/** A directory for what may go at a reboot; made (0711) before init. */
	readonly state: string;
	/** The daemon's own facts, which several plugins need and none owns. */
	readonly daemon: DaemonFacts;
	/** A container that only this plugin sees; its services are registered under their contracts' types. */
	readonly container: Container;
	/** Closed by the kernel, newest first, when the daemon stops or init fails. */
	readonly lifetime: AsyncDisposableStack;
	/** Aborts when the daemon stops, before any lifetime is closed, or when init is out of time. */
	readonly signal: AbortSignal;
	readonly log: Logger;
	/** What the kernel knows of all plugins; complete once boot is done, live after that. */
	readonly status: KernelStatus;
	/** Resolves when the boot is over and clients are served, or will not be: for work that may wait for that, and that nobody's init waits for. */
	readonly booted: Promise<void>;
	/** Stands down for good because this machine or configuration cannot run the plugin; says so in its status as `skip plugin: reason`. */
	readonly skip: (reason: string) => never;
}

/** Facts of the daemon that are the same for each plugin. */
export interface DaemonFacts {
	readonly version: string;
	readonly revision: string;
	/** The daemon's root directory, above all plugins' roots. */
	readonly root: string;
	/** The daemon's state directory, above all plugins' states. */
	readonly state: string;
	/** Path of the daemon's own launcher, for processes that have to call the daemon's binary. */
	readonly binary: string;
	/** The merged configuration, as plain TOML values: for `grpc.address` and other keys of no plugin. */
	readonly config: Readonly<Record<string, unknown>>;
}

/** What an author writes. All of it is inert: importing a plugin's module does nothing. */
export interface PluginDefinition<T, Type extends ContractType, Schema extends ZodType, Requires> {
	/** The contract's type, a dot, and a name of its own. */
	readonly id: `${NoInfer<Type>}.${string}`;
	readonly provides: Contract<T, Type>;
	readonly requires: Requires;
	/** A strict schema of the plugin's table; what it outputs is `config` in init. */
	readonly config: Schema;
	/** Facts that Introspection shows beside the plugin. */
	readonly exports?: Readonly<Record<string, string>>;
	readonly capabilities?: readonly string[];
	/** Other ids whose tables in config.toml count for this plugin (containerd's names for the same organ). */
	readonly aliases?: readonly string[];
	/** Milliseconds that init may take; the kernel's default is 10,000. */
	readonly initTimeoutMs?: number;
	init(context: InitContext<output<Schema>, Answers<Requires>>): T | Promise<T>;
}

const BRAND = Symbol.for('io.keelson.plugin');
const PLUGIN_API = 1;

/** A plugin as the kernel holds it, its own types forgotten. */
export interface Plugin {
	readonly [BRAND]: number;
	readonly id: PluginId;
	readonly provides: Contract<unknown>;
	readonly requires: Readonly<Record<string, Requirement>>;
	readonly config: ZodType;
	readonly exports?: Readonly<Record<string, string>>;
	readonly capabilities?: readonly string[];
	readonly aliases?: readonly string[];
	readonly initTimeoutMs?: number;
	init(context: InitContext<unknown, Readonly<Record<string, unknown>>>): unknown;
}

/** Checks the types of a plugin and brands it; a module exports it as `plugin` (or several as an array). */
export function definePlugin<
	T,
	Type extends ContractType,
	Schema extends ZodType,
	const Requires extends Readonly<Record<string, Requirement>>,
>(definition: PluginDefinition<T, Type, Schema, Requires>): Plugin {
	// The one place where types are forgotten: boot hands init what `requires` and `config` promise.
	return Object.freeze({...definition, [BRAND]: PLUGIN_API}) as unknown as Plugin;
}

/** Makes plugins of the daemon's configuration: merged from all files, checked, and read-only. */
export type PluginMaker = (config: DaemonFacts['config'], refuse: Refuse) => readonly Plugin[];

/** Reports that what stands at `path` of the configuration makes no plugin: a failure with its place, which spoils no other plugin. */
export type Refuse = (path: readonly string[], reason: string) => void;

/** Brands a function that makes plugins; a module exports it as `plugin`. It is called once, before any plugin starts, and only makes: it does nothing. */
export function definePlugins(make: PluginMaker): PluginMaker {
	return Object.assign<PluginMaker, object>((config, refuse) => make(config, refuse), {[BRAND]: PLUGIN_API});
}

/** The plugin API version that a value was defined with; undefined when it is no plugin and makes none. Goes by brand, so that two copies of the package agree. */
export function pluginApiOf(value: unknown): number | undefined {
	const version = (typeof value === 'object' && value !== null || typeof value === 'function') && BRAND in value ? value[BRAND] : undefined;
	return typeof version === 'number' ? version : undefined;
}

/** The plugin API version of this kernel. */
export const pluginApi = PLUGIN_API;
