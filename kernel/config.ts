import {dirname, resolve} from 'node:path';
import type {ZodType} from 'zod';
import {configVersion, readConfigFiles, serverTable, type ConfigFile} from './config-file.ts';
import {Places} from './config-place.ts';
import {daemonSchema, type DaemonConfig} from './config-schema.ts';
import {KeelsonError} from './errors.ts';
import type {Plugin} from './plugin.ts';
import {nameOf} from './plugin-id.ts';
import {deepMerge, isTable, layOver, removeAt, valueAt, type Table} from './table.ts';

/** A module that the configuration names. */
export interface ModuleName {
	readonly name: string;
	/** The file that names it, from which it is resolved. */
	readonly file: string;
	/** The name, made absolute where it is a relative path. */
	readonly path: string;
	/** Whether the package's own config.toml names it. */
	readonly isBuiltIn: boolean;
}

/** A plugin's table, checked. */
export interface Checked {
	/** What its schema made of the table; undefined when `error` is there. */
	readonly value?: unknown;
	/** The table as it was given, without what is unknown. */
	readonly given: Table;
	readonly error?: KeelsonError;
}

export interface ConfigSources {
	/** The package's own config.toml, below all others. */
	readonly builtIn?: string;
	/** The operator's files; each may import more. Later ones count. */
	readonly files?: readonly string[];
	/** Above all files: what flags say. */
	readonly overrides?: Table;
}

/** The configuration, merged. */
export class Config {
	/** What belongs to no plugin, checked, with defaults. */
	readonly daemon: DaemonConfig;
	readonly modules: readonly ModuleName[];
	readonly #table: Table;
	readonly #places: Places;
	readonly #unknown: string[] = [];

	private constructor(table: Table, files: readonly ConfigFile[], modules: readonly ModuleName[]) {
		this.#table = table;
		this.#places = new Places(files);
		this.modules = modules;
		this.daemon = undefined as never;
	}

	/** Rejects with INVALID_ARGUMENT, naming the place, when a file is wrong or a key of the daemon's own is. */
	static async load({builtIn, files = [], overrides = {}}: ConfigSources): Promise<Config> {
		const below = builtIn === undefined ? [] : await readConfigFiles([builtIn]);
		const above = await readConfigFiles(files);
		const all = [...below, ...above];
		let table: Table = {};
		for (const file of all) {
			table = layOver(table, file.table);
		}
		table = {...layOver(table, overrides), version: configVersion};
		const inherits = all.some(({version, table: {grpc}}) => version < 4 && isTable(grpc));
		const config = new Config(table, all, all.flatMap((file) => modulesOf(file, below.includes(file))));
		return config.#settle(inherits);
	}

	/** A configuration from a table instead of files: for those who boot a kernel in their own process. */
	static of(table: Table): Promise<Config> {
		return new Config(table, [], []).#settle(false);
	}

	async #settle(inherits: boolean): Promise<Config> {
		const {value, error, unknown} = await this.#check(daemonSchema, this.#table, [[]]);
		if (error !== undefined) {
			throw error;
		}
		this.#unknown.push(...await Promise.all(unknown.map(({path}) => this.#unknownKey(path, 'the daemon'))));
		const daemon = value as DaemonConfig;
		const {grpc, ttrpc} = daemon;
		// As in containerd: an address that is not given is derived, and until format 3 its owner is inherited.
		const owner = inherits && ttrpc.address === '' ? grpc : ttrpc;
		const address = ttrpc.address === '' && grpc.address !== '' ? `${grpc.address}.ttrpc` : ttrpc.address;
		(this as {daemon: DaemonConfig}).daemon = {...daemon, ttrpc: {address, uid: owner.uid, gid: owner.gid}};
		return this;
	}

	/** Where a key was given, in brackets, or an empty string. */
	async at(...path: readonly PropertyKey[]): Promise<string> {
		const place = await this.#places.of(path);
		return place === undefined ? '' : ` (${place})`;
	}

	/** Where an item of an array at the top was given, in brackets, or an empty string. */
	async atItem(key: string, item: string, file?: string): Promise<string> {
		const place = await this.#places.ofItem(key, item, file);
		return place === undefined ? '' : ` (${place})`;
	}

	/**
	 * Checks each plugin's table by its schema. `unknown` says what is in the files and nobody here knows, of the daemon's own
	 * tables too: warnings at boot, errors in `config check` and under `strict = true`.
	 */
	async check(plugins: readonly Plugin[]): Promise<{tables: ReadonlyMap<Plugin, Checked>; unknown: readonly string[]}> {
		const tables = new Map<Plugin, Checked>();
		const readers = new Map<string, number>();
		const strangers = new Map<string, {path: readonly string[]; source: string; ids: string[]}>();
		for (const plugin of plugins) {
			const sources = sourcesOf(plugin);
			const {value, given, error, unknown} = await this.#check(plugin.config, this.#given(sources), sources, plugin.id);
			tables.set(plugin, {given, ...(error === undefined ? {value} : {error})});
			for (const source of sources.map(String)) {
				readers.set(source, (readers.get(source) ?? 0) + 1);
			}
			for (const {path, source} of unknown) {
				const {ids} = strangers.get(String(path)) ?? {ids: []};
				strangers.set(String(path), {path, source: String(source), ids: [...ids, plugin.id]});
			}
		}
		const unknown = [...this.#unknown];
		for (const {path, source, ids} of strangers.values()) {
			// Several plugins may read one table under an alias: a key is unknown when none of them knows it.
			if (ids.length === readers.get(source)) {
				unknown.push(await this.#unknownKey(path, `plugin ${[...new Set(ids)].join(' and ')}`));
			}
		}
		for (const id of Object.keys(this.daemon.plugins)) {
			if (!readers.has(`plugins,${id}`)) {
				unknown.push(`no plugin ${id.replace(/^\*\./, '')} is here to read its table${await this.at('plugins', id)}`);
			}
		}
		return {tables, unknown};
	}

	#given(sources: readonly (readonly string[])[]): Table {
		const tables = sources.map((source) => valueAt(this.#table, source));
		return tables.filter(isTable).reduce(deepMerge, {});
	}

	async #unknownKey(path: readonly string[], whose: string): Promise<string> {
		return `${whose} has no key ${path.at(-1)}${await this.at(...path)}`;
	}

	async #check(schema: ZodType, table: Table, sources: readonly (readonly string[])[], plugin?: string) {
		const given = structuredClone(table);
		const unknown: {path: string[]; source: readonly string[]}[] = [];
		let result = await schema.safeParseAsync(given);
		for (const issue of result.error?.issues ?? []) {
			for (const key of issue.code === 'unrecognized_keys' ? issue.keys : []) {
				const path = [...issue.path, key];
				removeAt(given, path);
				for (const source of sources.filter((from) => valueAt(this.#table, [...from, ...path]) !== undefined)) {
					unknown.push({path: [...source, ...path.map(String)], source});
				}
			}
		}
		result = unknown.length > 0 ? await schema.safeParseAsync(given) : result;
		const error = result.success ? undefined : await this.#wrong(result.error.issues, given, sources, plugin);
		return {value: result.data, given, error, unknown};
	}

	async #wrong(issues: readonly Issue[], given: Table, sources: readonly (readonly string[])[], plugin?: string): Promise<KeelsonError> {
		const messages = issues.map(async ({path, message}) => {
			const source = sources.findLast((from) => valueAt(this.#table, [...from, ...path]) !== undefined) ?? sources.at(-1) ?? [];
			const value = JSON.stringify(valueAt(given, path)) ?? 'not set';
			return `key ${path.join('.')}${await this.at(...source, ...path)} is ${value}: ${message}`;
		});
		const whose = plugin === undefined ? 'the daemon' : `plugin ${plugin}`;
		return new KeelsonError('INVALID_ARGUMENT', `config of ${whose}: ${(await Promise.all(messages)).join('; ')}`);
	}
}

interface Issue {
	readonly path: readonly PropertyKey[];
	readonly message: string;
}

/** The tables that count for a plugin, its own last: aliases, and what format 1 calls by the last part of an id. */
function sourcesOf({id, aliases = []}: Plugin): string[][] {
	return [...aliases, id].flatMap((each) => [['plugins', `*.${nameOf(each) ?? each}`], serverTable(each) ?? ['plugins', each]]);
}

function modulesOf(file: ConfigFile, isBuiltIn: boolean): ModuleName[] {
	const names = Array.isArray(file.table['modules']) ? file.table['modules'] : [];
	return names.filter((name) => typeof name === 'string').map((name) => {
		const path = name.startsWith('.') ? resolve(dirname(file.path), name) : name;
		return {name, file: file.path, path, isBuiltIn};
	});
}
