import {stringify} from 'smol-toml';
import * as z from 'zod';
import type {Checked, Config} from './config.ts';
import type {Plugin} from './plugin.ts';
import {deepMerge, isTable, type Table} from './table.ts';

/** The whole configuration as one file would have it, defaults of all plugins included. */
export function configText(config: Config, tables: ReadonlyMap<Plugin, Checked>): string {
	const {modules: _, imports: __, plugins, ...daemon} = config.daemon;
	const all: Table = {...plugins};
	for (const [plugin, {given}] of tables) {
		all[plugin.id] = deepMerge(defaultsOf(z.toJSONSchema(plugin.config, {io: 'input', unrepresentable: 'any'})), given);
	}
	const sorted = Object.entries(all).toSorted(([a], [b]) => a < b ? -1 : 1);
	const modules = config.modules.filter(({isBuiltIn}) => !isBuiltIn).map(({path}) => path);
	return stringify(withoutUndefined({...daemon, ...(modules.length > 0 ? {modules} : {}), plugins: Object.fromEntries(sorted)}));
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
