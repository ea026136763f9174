import {KeelsonError} from './errors.ts';
import type {Plugin} from './plugin.ts';

/** In which order plugins start, and which cannot. */
export interface Plan {
	/** Each comes after all that it requires; those with a problem are in it too. */
	readonly order: readonly Plugin[];
	readonly problems: ReadonlyMap<Plugin, KeelsonError>;
	/** Plugins that are left out since another has their id. */
	readonly duplicates: ReadonlyMap<Plugin, KeelsonError>;
}

/** Orders plugins by requirement. `disabled` are not there, but are named to those who miss them. */
export function planBoot(plugins: readonly Plugin[], disabled: readonly Plugin[] = []): Plan {
	const byId = new Map<string, Plugin>();
	const duplicates = new Map<Plugin, KeelsonError>();
	for (const plugin of plugins) {
		if (byId.has(plugin.id)) {
			duplicates.set(plugin, new KeelsonError('ALREADY_EXISTS', `plugin ${plugin.id} is there twice; the first is used`));
		} else {
			byId.set(plugin.id, plugin);
		}
	}
	const graph = new Graph([...byId.values()], disabled);
	return {...graph.plan(), duplicates};
}

class Graph {
	readonly #plugins: readonly Plugin[];
	readonly #disabled: readonly Plugin[];
	readonly #problems = new Map<Plugin, string[]>();
	readonly #done = new Set<Plugin>();

	constructor(plugins: readonly Plugin[], disabled: readonly Plugin[]) {
		this.#plugins = plugins;
		this.#disabled = disabled;
	}

	plan(): Pick<Plan, 'order' | 'problems'> {
		for (const plugin of this.#plugins) {
			this.#visit(plugin, []);
			this.#checkProviders(plugin);
		}
		const problems = [...this.#problems].map(([plugin, found]) =>
			[plugin, new KeelsonError('FAILED_PRECONDITION', `plugin ${plugin.id} cannot start: ${found.join('; ')}`)] as const);
		return {order: [...this.#done], problems: new Map(problems)};
	}

	#visit(plugin: Plugin, path: readonly Plugin[]): void {
		if (path.includes(plugin)) {
			const circle = path.slice(path.indexOf(plugin));
			for (const member of circle) {
				this.#report(member, `plugins require each other: ${[...circle, plugin].map(({id}) => id).join(' -> ')}`);
			}
			return;
		}
		if (this.#done.has(plugin)) {
			return;
		}
		for (const {contract} of Object.values(plugin.requires)) {
			for (const provider of providersOf(contract.type, this.#plugins)) {
				this.#visit(provider, [...path, plugin]);
			}
		}
		this.#done.add(plugin);
	}

	#checkProviders(plugin: Plugin): void {
		for (const {want, contract: {type}} of Object.values(plugin.requires)) {
			const providers = providersOf(type, this.#plugins).map(({id}) => id);
			if (want !== 'all' && providers.length > 1) {
				this.#report(plugin, `it wants one provider of ${type} and there are ${providers.join(', ')}: name all but one in disabled_plugins`);
			} else if (want === 'one' && providers.length === 0) {
				const [disabled] = providersOf(type, this.#disabled);
				this.#report(plugin, disabled === undefined ? `nothing provides ${type}` : `${disabled.id}, which provides ${type}, is in disabled_plugins`);
			}
		}
	}

	#report(plugin: Plugin, problem: string): void {
		const found = this.#problems.get(plugin) ?? [];
		this.#problems.set(plugin, found.includes(problem) ? found : [...found, problem]);
	}
}

/** The plugins that provide a contract. */
export function providersOf(type: string, plugins: readonly Plugin[]): Plugin[] {
	return plugins.filter(({provides}) => provides.type === type);
}
