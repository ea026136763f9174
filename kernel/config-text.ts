import {stringify} from 'smol-toml';
import * as z from 'zod';
import {inFormat4, serverTable} from './config-servers.ts';
import type {Checked} from './config-check.ts';
import {sourcesOf, type Config} from './config.ts';
import {nameOf} from './plugin-id.ts';
import type {Plugin} from './plugin.ts';
import {deepMerge, isTable, removeAt, setAt, valueAt, type Table} from './table.ts';

/** The newest ids of plugins that are not here, by those of older formats: the last part alone in format 1. */
export type PluginNames = (name: string) => string;

export interface ConfigTextOptions {
	/** Default: none is named. */
	readonly imports?: readonly string[];
	/** Default: they stay as they are. */
	readonly names?: PluginNames;
}

/** The whole configuration as one file of the newest format would have it, defaults of all plugins included. What nobody here knows is kept. */
export function configText(config: Config, tables: ReadonlyMap<Plugin, Checked>, {imports = [], names = (name) => name}: ConfigTextOptions = {}): string {
	const {modules: _, imports: __, ...daemon} = config.daemon;
	const {ttrpc, grpc} = daemon;
	// An address that follows from another must still follow when the other is changed in what is printed.
	const all: Table = structuredClone({...daemon, ttrpc: {...ttrpc, address: ttrpc.address === `${grpc.address}.ttrpc` ? '' : ttrpc.address}});
	const ids = [...tables.keys()].map(({id}) => id);
	const idOf = (name: string): string => {
		const [id, ...more] = ids.filter((each) => nameOf(each) === name);
		return more.length > 0 ? name : id ?? names(name);
	};
	for (const [plugin, {given}] of [...tables].toSorted(([a], [b]) => a.id < b.id ? -1 : 1)) {
		const defaults = defaultsOf(z.toJSONSchema(plugin.config, {io: 'input', unrepresentable: 'any'}));
		setAt(all, serverTable(plugin.id) ?? ['plugins', plugin.id], deepMerge(defaults, given));
	}
	for (const [plugin, {unknown}] of tables) {
		for (const source of sourcesOf(plugin).slice(0, -1)) {
			removeKnown(all, source, unknown);
		}
	}
	all['plugins'] = Object.entries(all['plugins'] as Table).reduce<Table>((plugins, [id, table]) =>
		deepMerge(plugins, {[names(id.replace(/^\*\./, ''))]: table}), {});
	const modules = config.modules.filter(({isBuiltIn}) => !isBuiltIn).map(({path}) => path);
	return stringify(withoutUndefined(inFormat4({
		...all,
		disabled_plugins: daemon.disabled_plugins.map(idOf), required_plugins: daemon.required_plugins.map(idOf),
		...(imports.length > 0 ? {imports: [...imports]} : {}), ...(modules.length > 0 ? {modules} : {}),
	})));
}

// What a plugin took from a table of another name stands in its own by now.
function removeKnown(all: Table, source: readonly string[], unknown: Checked['unknown']): void {
	const table = valueAt(all, source);
	if (!isTable(table)) {
		return;
	}
	for (const key of Object.keys(table)) {
		if (!unknown.some(({path}) => [...source, key].every((part, index) => path[index] === part))) {
			removeAt(all, [...source, key]);
		}
	}
	if (Object.keys(table).length === 0) {
		removeAt(all, source);
	}
}

// By the schema, not by parsing an empty table: what parsing gives may be another type than what is written in a file.
function defaultsOf(schema: z.core.JSONSchema._JSONSchema): Table {
	const defaults: Table = {};
	for (const [key, property] of Object.entries(typeof schema === 'object' ? schema.properties ?? {} : {})) {
		if (typeof property === 'object' && property.default !== undefined) {
			defaults[key] = isTable(property.default) ? deepMerge(defaultsOf(property), property.default) : property.default;
		} else if (typeof property === 'object' && property.type === 'object' && property.properties !== undefined) {
			defaults[key] = defaultsOf(property);
		}
	}
	return defaults;
}

function withoutUndefined(table: Table): Table {
	const kept = Object.entries(table).filter(([, value]) => value !== undefined);
	return Object.fromEntries(kept.map(([key, value]) => [key, isTable(value) ? withoutUndefined(value) : value]));
}
