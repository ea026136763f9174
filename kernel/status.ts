import {KeelsonError} from './errors.ts';
import {nameOf} from './plugin-id.ts';
import type {Plugin} from './plugin.ts';

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
	/** What a plugin adds to its own capabilities, where the machine or the configuration decides; each once. Unknown ids are refused. */
	enable(id: string, capabilities: readonly string[]): void;
}

/** The status as the kernel writes it. */
export class StatusBoard implements KernelStatus {
	readonly #plugins = new Map<string, PluginStatus>();

	plugins(): readonly PluginStatus[] {
		return [...this.#plugins.values()];
	}

	export(id: string, exports: Readonly<Record<string, string>>): void {
		this.set(id, {exports: {...this.get(id).exports, ...exports}});
	}

	enable(id: string, capabilities: readonly string[]): void {
		this.set(id, {capabilities: [...new Set([...this.get(id).capabilities, ...capabilities])]});
	}

	add({id, provides: {type}, requires, exports = {}, capabilities = []}: Plugin): void {
		const types = new Set(Object.values(requires).map(({contract}) => contract.type));
		const name = id.slice(type.length + 1);
		this.#plugins.set(id, {id, type, name, requires: [...types], exports, capabilities, state: 'waiting'});
	}

	/** A module or plugin that could not even be loaded. */
	addFailed(id: string, error: Error): void {
		const name = nameOf(id) ?? id;
		this.#plugins.set(id, {id, type: id.slice(0, -name.length - 1), name, requires: [], exports: {}, capabilities: [], state: 'failed', error});
	}

	get(id: string): PluginStatus {
		const found = this.#plugins.get(id);
		if (found === undefined) {
			throw new KeelsonError('NOT_FOUND', `there is no plugin ${id}`);
		}
		return found;
	}

	set(id: string, change: Partial<PluginStatus>): void {
		this.#plugins.set(id, {...this.get(id), ...change});
	}
}
