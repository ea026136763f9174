import type {Plugin} from './plugin.ts';

/** In which order plugins start, and which cannot. */
export interface Plan {
	/** Each comes after all that it requires; those that cannot start are in it too. */
	readonly order: readonly Plugin[];
	/** Why a plugin of `order` cannot start: each thing that it lacks. */
	readonly reasons: ReadonlyMap<Plugin, readonly string[]>;
	/** Plugins that are left out, and the one that has their id. */
	readonly duplicates: ReadonlyMap<Plugin, Plugin>;
}

/** Orders plugins by requirement. `disabled` are not there, but are named to those who miss them. */
export function planBoot(plugins: readonly Plugin[], disabled: readonly Plugin[] = []): Plan {
	const byId = new Map<string, Plugin>();
	const duplicates = new Map<Plugin, Plugin>();
	for (const plugin of plugins) {
		const first = byId.get(plugin.id);
		if (first === undefined) {
			byId.set(plugin.id, plugin);
		} else {
			duplicates.set(plugin, first);
		}
	}
	return {...new Graph([...byId.values()], disabled).plan(), duplicates};
}

class Graph {
	readonly #plugins: readonly Plugin[];
	readonly #disabled: readonly Plugin[];
	readonly #reasons = new Map<Plugin, string[]>();
	readonly #done = new Set<Plugin>();

	constructor(plugins: readonly Plugin[], disabled: readonly Plugin[]) {
		this.#plugins = plugins;
		this.#disabled = disabled;
	}

	plan(): Pick<Plan, 'order' | 'reasons'> {
		for (const plugin of this.#plugins) {
			this.#visit(plugin, []);
			this.#checkProviders(plugin);
		}
		return {order: [...this.#done], reasons: this.#reasons};
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

	#report(plugin: Plugin, reason: string): void {
		this.#reasons.set(plugin, [...new Set(this.#reasons.get(plugin)).add(reason)]);
	}
}

function providersOf(type: string, plugins: readonly Plugin[]): Plugin[] {
	return plugins.filter(({provides}) => provides.type === type);
}
