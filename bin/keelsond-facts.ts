import {existsSync} from 'node:fs';
import {readdir, readFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {Config} from '../kernel/config.ts';
import type {Table} from '../kernel/table.ts';
import type {Flags} from './keelsond-line.ts';

const OPERATORS_FILE = '/etc/keelson/config.toml';
const DROP_INS = '/etc/keelson/conf.d';

/** The directory of the package: the nearest above this file that has a package.json, since compiled files may lie deeper. */
export function packageDirectory(): string {
	let directory = import.meta.dirname;
	while (!existsSync(join(directory, 'package.json')) && directory !== '/') {
		directory = dirname(directory);
	}
	return directory;
}

/** Version and revision of this package. */
export async function facts(): Promise<{version: string; revision: string}> {
	const text = await readFile(join(packageDirectory(), 'package.json'), 'utf8');
	const {version, gitHead} = JSON.parse(text) as {version: string; gitHead?: string};
	return {version, revision: gitHead ?? ''};
}

/** The configuration from the package's own file, the operator's (but for the defaults), and flags, in this order. */
export async function configFrom(flags: Flags, {isDefault = false, followsImports = true} = {}): Promise<Config> {
	const {config: file, root, state, address} = flags;
	const overrides: Table = {
		...(root === undefined ? {} : {root}),
		...(state === undefined ? {} : {state}),
		...(address === undefined ? {} : {grpc: {address}}),
		debug: {level: flags['log-level'] ?? '', format: flags['log-format'] ?? ''},
	};
	if (isDefault) {
		return Config.load({builtIn: join(packageDirectory(), 'config.toml')});
	}
	const files = file === undefined
		? [...existsSync(OPERATORS_FILE) ? [OPERATORS_FILE] : [], ...await dropIns()]
		: [file];
	return Config.load({builtIn: join(packageDirectory(), 'config.toml'), files, overrides, followsImports});
}

async function dropIns(): Promise<readonly string[]> {
	const names = await readdir(DROP_INS).catch(() => []);
	return names.filter(name => name.endsWith('.toml') && !name.startsWith('.')).toSorted().map(name => join(DROP_INS, name));
}
