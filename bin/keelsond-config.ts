import {stringify} from 'smol-toml';
import * as z from 'zod';
import type {Checked, Config} from '../kernel/config.ts';
import {diagnose} from '../kernel/diagnosis.ts';
import {loadModules} from '../kernel/loader.ts';
import type {Plugin} from '../kernel/plugin.ts';
import {deepMerge, isTable, type Table} from '../kernel/table.ts';
import {configFrom} from './keelsond-facts.ts';
import type {Flags} from './keelsond.ts';

/** Carries out `config default`, `dump` or `check`; resolves with the exit status. */
export async function showConfig(command: 'config default' | 'config dump' | 'config check', flags: Flags): Promise<number> {
	const config = await configFrom(flags, {isDefault: command === 'config default'});
	const {tables, problems, failures, unknown} = await diagnose(config, await loadModules(config));
	if (command !== 'config check') {
		process.stdout.write(stringify(whole(config, tables)));
		return 0;
	}
	const lines = [...[...failures.map(({error}) => error), ...problems.values()].map(({message}) => message), ...unknown];
	for (const line of lines) {
		process.stdout.write(`${line}\n`);
	}
	return lines.length === 0 ? 0 : 1;
}

/** The whole configuration as a file would have it. */
function whole(config: Config, tables: ReadonlyMap<Plugin, Checked>): Table {
	const {modules: _, imports: __, plugins, ...daemon} = config.daemon;
	const all: Table = {...plugins};
	for (const [plugin, {given}] of tables) {
		all[plugin.id] = deepMerge(defaultsOf(z.toJSONSchema(plugin.config, {io: 'input', unrepresentable: 'any'})), given);
	}
	const sorted = Object.entries(all).sort(([a], [b]) => a < b ? -1 : 1);
	const modules = config.modules.filter(({isBuiltIn}) => !isBuiltIn).map(({path}) => path);
	return withoutUndefined({...daemon, ...(modules.length > 0 ? {modules} : {}), plugins: Object.fromEntries(sorted)});
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
