import {stringify} from 'smol-toml';
import * as z from 'zod';
import {serverTable} from './config-file.ts';
import type {Checked} from './config-check.ts';
import type {Config} from './config.ts';
import type {Plugin} from './plugin.ts';
import {deepMerge, isTable, setAt, type Table} from './table.ts';

/** The whole configuration as one file would have it, defaults of all plugins included. */
export function configText(config: Config, tables: ReadonlyMap<Plugin, Checked>): string {
	const {modules: _, imports: __, ...daemon} = config.daemon;
	const {ttrpc, grpc} = daemon;
	// An address that follows from another must still follow when the other is changed in what is printed.
	const all: Table = structuredClone({...daemon, ttrpc: {...ttrpc, address: ttrpc.address === `${grpc.address}.ttrpc` ? '' : ttrpc.address}});
	for (const [plugin, {given}] of [...tables].toSorted(([a], [b]) => a.id < b.id ? -1 : 1)) {
		const defaults = defaultsOf(z.toJSONSchema(plugin.config, {io: 'input', unrepresentable: 'any'}));
		setAt(all, serverTable(plugin.id) ?? ['plugins', plugin.id], deepMerge(defaults, given));
	}
	const modules = config.modules.filter(({isBuiltIn}) => !isBuiltIn).map(({path}) => path);
	return stringify(withoutUndefined({...all, ...(modules.length > 0 ? {modules} : {})}));
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
