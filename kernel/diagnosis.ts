import type {Checked} from './config-check.ts';
import type {Config} from './config.ts';
import {KeelsonError} from './errors.ts';
import {planBoot} from './graph.ts';
import type {Loaded} from './loader.ts';
import {nameOf} from './plugin-id.ts';
import type {Plugin} from './plugin.ts';

/** What is known before any plugin starts: what boot goes by, and `config check` prints. */
export interface Diagnosis {
	/** Each plugin that is not disabled, after all that it requires. */
	readonly order: readonly Plugin[];
	readonly tables: ReadonlyMap<Plugin, Checked>;
	/** Why a plugin of `order` cannot start. */
	readonly problems: ReadonlyMap<Plugin, KeelsonError>;
	/** Modules and plugins that are not in `order` since they cannot be used. */
	readonly failures: Loaded['failures'];
	/** What `required_plugins` has, and the plugins of `order` that it means. */
	readonly required: ReadonlyMap<string, readonly Plugin[]>;
	/** What is in the files and nobody here knows. */
	readonly unknown: readonly string[];
}

export async function diagnose(config: Config, loaded: Loaded): Promise<Diagnosis> {
	const {plugins, failures} = loaded;
	const {disabled_plugins: disabled, required_plugins: wanted} = config.daemon;
	const {order, reasons, duplicates} = planBoot(plugins.filter((each) => !isNamed(each, disabled)), plugins.filter((each) => isNamed(each, disabled)));
	const {tables, unknown} = await config.check(plugins);
	const problems = new Map<Plugin, KeelsonError>();
	for (const plugin of order) {
		const found = reasons.get(plugin);
		const error = found && new KeelsonError('FAILED_PRECONDITION', `plugin ${plugin.id}${await whereOf(plugin, config, loaded)} cannot start: ${found.join('; ')}`);
		const problem = error ?? tables.get(plugin)?.error;
		if (problem !== undefined) {
			problems.set(plugin, problem);
		}
	}
	const twice = await Promise.all([...duplicates].map(async ([plugin, first]) => {
		const message = `plugin ${plugin.id}${await whereOf(plugin, config, loaded)} is left out: the one${await whereOf(first, config, loaded)} has the same id`;
		return {id: plugin.id, error: new KeelsonError('ALREADY_EXISTS', message)};
	}));
	const required = new Map(wanted.map((name) => [name, order.filter((each) => isNamed(each, [name]) || each.aliases?.includes(name) === true)]));
	const nobody = [
		...disabled.filter((name) => !plugins.some((plugin) => isNamed(plugin, [name]))).map((name) => ['disabled_plugins', name] as const),
		...wanted.filter((name) => required.get(name)?.length === 0).map((name) => ['required_plugins', name] as const),
	].map(async ([key, name]) => `${key} names ${name}${await config.places.ofItem(key, name)}, which is ${key === 'required_plugins' && disabled.includes(name) ? 'disabled' : 'not here'}`);
	return {order, tables, problems, failures: [...failures, ...twice], required, unknown: [...unknown, ...await Promise.all(nobody)]};
}

/** The module that a plugin came in, and where the configuration names it; empty for one that came in none. */
export async function whereOf(plugin: Plugin, config: Config, {origins}: Loaded): Promise<string> {
	const module = origins?.get(plugin);
	return module === undefined ? '' : ` of module ${module.name}${await config.places.ofItem('modules', module.name, module.file)}`;
}

/** Whether a list of config.toml has the plugin, by its id or by the last part of it. */
function isNamed({id}: Plugin, names: readonly string[]): boolean {
	return names.includes(id) || names.includes(nameOf(id) ?? id);
}
