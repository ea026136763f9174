import {glob, readFile, stat} from 'node:fs/promises';
import {dirname, isAbsolute, resolve} from 'node:path';
import {parse, TomlError} from 'smol-toml';
import {KeelsonError} from './errors.ts';
import {serverDestinations} from './config-servers.ts';
import {isTable, setAt, type Table} from './table.ts';

/** The newest format that this kernel reads, and the one that a file without `version` is of. */
export const configVersion = 4;
const SIZE_MAX_BYTES = 4 * 1024 * 1024;
const FILES_MAX = 1024;

/** One file of the configuration, brought to the newest format. */
export interface ConfigFile {
	readonly path: string;
	readonly text: string;
	readonly version: number;
	readonly table: Table;
	/** Where a key stands in `table`, and where it stands in the file, for those that moved between formats. */
	readonly moved: readonly {readonly to: readonly string[]; readonly from: readonly string[]}[];
}

/** Reads files and, unless told not to, what they import, breadth first, each once. Rejects with INVALID_ARGUMENT naming file, line and column. */
export async function readConfigFiles(paths: readonly string[], {followsImports = true} = {}): Promise<ConfigFile[]> {
	const pending = paths.map((path) => resolve(path));
	const files = new Map<string, ConfigFile>();
	for (let path = pending.shift(); path !== undefined; path = pending.shift()) {
		if (files.has(path)) {
			continue;
		}
		if (files.size === FILES_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `config ${path} would be file ${FILES_MAX + 1}, the limit is ${FILES_MAX}`);
		}
		const file = await readConfigFile(path);
		files.set(path, file);
		for (const pattern of followsImports && Array.isArray(file.table['imports']) ? file.table['imports'] : []) {
			pending.push(...await imported(String(pattern), path));
		}
	}
	return [...files.values()];
}

async function imported(pattern: string, importer: string): Promise<string[]> {
	const path = isAbsolute(pattern) ? pattern : resolve(dirname(importer), pattern);
	return /[*?[]/.test(pattern) ? (await Array.fromAsync(glob(path))).toSorted() : [path];
}

async function readConfigFile(path: string): Promise<ConfigFile> {
	try {
		const {size} = await stat(path);
		if (size > SIZE_MAX_BYTES) {
			throw new KeelsonError('INVALID_ARGUMENT', `config ${path} has ${size} bytes, the limit is ${SIZE_MAX_BYTES}`);
		}
		const text = await readFile(path, 'utf8');
		return {path, text, ...inNewestFormat(parse(text), path)};
	} catch (error) {
		if (error instanceof TomlError) {
			const [what] = error.message.split('\n');
			throw new KeelsonError('INVALID_ARGUMENT', `config ${path}:${error.line}:${error.column}: ${what}`, {cause: error});
		}
		throw error instanceof Error && 'syscall' in error
			? new KeelsonError('INVALID_ARGUMENT', `config ${path} cannot be read: ${error.message}`, {cause: error})
			: error;
	}
}

// Until 3 the servers had tables of their own at the top; since 4 they are plugins. In 1 plugins went by the last part of their id,
// which is kept as `*.name` until it is known which plugins there are. The kernel's own form has servers at the top.
function inNewestFormat(table: Table, path: string): Pick<ConfigFile, 'version' | 'table' | 'moved'> {
	const version = table['version'] ?? configVersion;
	if (typeof version !== 'number' || !Number.isInteger(version) || version < 1 || version > configVersion) {
		throw new KeelsonError('INVALID_ARGUMENT', `config ${path} has version ${JSON.stringify(version)}, this daemon reads 1 to ${configVersion}`);
	}
	if (!isTable(table['plugins'])) {
		return {version, table, moved: []};
	}
	const moved: {to: string[]; from: string[]}[] = [];
	const {plugins, ...top} = table;
	const newest: Table = {...top, plugins: {}};
	for (const [id, value] of Object.entries(plugins)) {
		const from = ['plugins', id];
		const tos = isTable(value) ? destinations(id, value, version) : [{to: from, value, from}];
		for (const {to, value: part, from: source} of tos) {
			setAt(newest, to, part);
			moved.push({to, from: source});
		}
	}
	return {version, table: newest, moved};
}

function destinations(id: string, value: Table, version: number): {to: string[]; value: unknown; from: string[]}[] {
	const from = ['plugins', id];
	if (version === 1 && !id.startsWith('io.')) {
		return [{to: ['plugins', `*.${id}`], value, from}];
	}
	return serverDestinations(id, value) ?? [{to: from, value, from}];
}
