import {dirname, resolve} from 'node:path';
import {checkTable, type Checked} from './config-check.ts';
import {configVersion, readConfigFiles, type ConfigFile} from './config-file.ts';
import {Places} from './config-place.ts';
import {daemonSchema, type DaemonConfig} from './config-schema.ts';
import {serverTable} from './config-servers.ts';
import type {Plugin} from './plugin.ts';
import {nameOf} from './plugin-id.ts';
import {isTable, layOver, type Table} from './table.ts';

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

export interface ConfigSources {
	/** The package's own config.toml, below all others. */
	readonly builtIn?: string;
	/** The operator's files; each may import more. Later ones count. */
	readonly files?: readonly string[];
	/** Above all files: what flags say. */
	readonly overrides?: Table;
	/** Default true: read what the operator's files import. */
	readonly followsImports?: boolean;
}

/** The tables of plugins, checked. */
export interface PluginTables {
	readonly tables: ReadonlyMap<Plugin, Checked>;
	/**
	 * What is in the files and nobody here knows, the daemon's own tables included, each with its place: warnings at boot, errors in
	 * `config check` and under `strict = true`.
	 */
	readonly unknown: readonly string[];
}

/** The configuration, merged from all files. */
export class Config {
	/** What belongs to no plugin, checked, with defaults; frozen, since all plugins read it. */
	readonly daemon: DaemonConfig;
	readonly modules: readonly ModuleName[];
	readonly places: Places;
	readonly #table: Table;
	readonly #unknown: Checked['unknown'];

	private constructor(table: Table, {files = [], modules = [], daemon, unknown}: {
		files?: readonly ConfigFile[]; modules?: readonly ModuleName[]; daemon: DaemonConfig; unknown: Checked['unknown'];
	}) {
		this.#table = table;
		this.#unknown = unknown;
		this.places = new Places(files);
		this.modules = modules;
		this.daemon = frozen(daemon);
	}

	/** Rejects with INVALID_ARGUMENT, naming the place, when a file is wrong or a key of the daemon's own is. */
	static async load({builtIn, files: operators = [], overrides = {}, followsImports = true}: ConfigSources): Promise<Config> {
		const below = builtIn === undefined ? [] : await readConfigFiles([builtIn]);
		const files = [...below, ...await readConfigFiles(operators, {followsImports})];
		const merged = files.reduce<Table>((table, file) => layOver(table, file.table), {});
		const table = {...layOver(merged, overrides), version: configVersion};
		const isOlder = files.some(({version, table: {grpc}}) => version < 4 && isTable(grpc));
		const modules = files.flatMap((file) => modulesOf(file, below.includes(file)));
		return new Config(table, {files, modules, ...await daemonPart(table, files, isOlder)});
	}

	/** A configuration from a table instead of files: for those who boot a kernel in their own process. */
	static async of(table: Table): Promise<Config> {
		return new Config(table, await daemonPart(table));
	}

	/** Checks each plugin's table by its schema. */
	async check(plugins: readonly Plugin[]): Promise<PluginTables> {
		const tables = new Map<Plugin, Checked>();
		const readers = new Map<string, string[]>();
		const strangers = new Map<string, {path: readonly string[]; source: string; to: string[]}>();
		const note = ({sources, unknown}: {sources: readonly (readonly string[])[]; unknown: Checked['unknown']}, whose: string): void => {
			for (const source of sources.map(String)) {
				readers.set(source, [...readers.get(source) ?? [], whose]);
			}
			for (const {path, source} of unknown) {
				const {to} = strangers.get(String(path)) ?? {to: []};
				strangers.set(String(path), {path, source: String(source), to: [...to, whose]});
			}
		};
		// The daemon reads the table of a server beside the plugin that serves.
		const top = this.#unknown.map(({path}) => ({path, source: path.slice(0, -1).slice(0, 1)}));
		note({sources: [[], ...Object.keys(this.daemon).map((key) => [key])], unknown: top}, 'the daemon');
		for (const plugin of plugins) {
			const sources = sourcesOf(plugin);
			const whose = `plugin ${plugin.id}`;
			const checked = await checkTable({schema: plugin.config, whole: this.#table, sources, whose, places: this.places});
			tables.set(plugin, checked);
			note({sources, unknown: checked.unknown}, whose);
		}
		const unknown: string[] = [];
		for (const {path, source, to} of strangers.values()) {
			// Several may read one table, of a server or under an alias: a key is unknown when none of them knows it.
			if (to.length === readers.get(source)?.length) {
				unknown.push(`key ${path.at(-1)}${await this.places.of(path)} is unknown to ${[...new Set(to)].join(' and ')}`);
			}
		}
		for (const id of Object.keys(this.daemon.plugins).filter((each) => !readers.has(`plugins,${each}`))) {
			unknown.push(`no plugin ${id.replace(/^\*\./, '')} is here to read its table${await this.places.of(['plugins', id])}`);
		}
		return {tables, unknown};
	}
}

async function daemonPart(whole: Table, files: readonly ConfigFile[] = [], isOlder = false): Promise<{daemon: DaemonConfig; unknown: Checked['unknown']}> {
	const checked = await checkTable({schema: daemonSchema, whole, sources: [[]], whose: 'the daemon', places: new Places(files)});
	if (checked.error !== undefined) {
		throw checked.error;
	}
	const daemon = checked.value as DaemonConfig;
	const {grpc, ttrpc} = daemon;
	// As in containerd: an address that is not given is derived, and until format 3 its owner is inherited.
	const {uid, gid} = isOlder && ttrpc.address === '' ? grpc : ttrpc;
	const address = ttrpc.address === '' && grpc.address !== '' ? `${grpc.address}.ttrpc` : ttrpc.address;
	return {daemon: {...daemon, ttrpc: {address, uid, gid}}, unknown: checked.unknown};
}

function frozen<T extends object>(value: T): T {
	for (const inner of Object.values(value)) {
		if (typeof inner === 'object' && inner !== null) {
			frozen(inner as object);
		}
	}
	return Object.freeze(value);
}

/** The tables that count for a plugin, its own last: aliases, and what format 1 calls by the last part of an id, kept as `*.name`. */
export function sourcesOf({id, aliases = []}: Plugin): string[][] {
	return [...aliases, id].flatMap((each) => [['plugins', `*.${nameOf(each) ?? each}`], serverTable(each) ?? ['plugins', each]]);
}

function modulesOf({table, path: file}: ConfigFile, isBuiltIn: boolean): ModuleName[] {
	const names: readonly unknown[] = Array.isArray(table['modules']) ? table['modules'] : [];
	return names.filter((name) => typeof name === 'string')
		.map((name) => ({name, file, path: name.startsWith('.') ? resolve(dirname(file), name) : name, isBuiltIn}));
}
