import {readFile, readdir, stat} from 'node:fs/promises';
import path from 'node:path';
import {parse} from 'smol-toml';
import {KeelsonError} from '../../kernel/errors.ts';
import {parseHosts, type FileReader} from './hosts-toml.ts';
import type {RegistryHost, Trust} from './hosts.ts';

const FILE_BYTES_MAX = 1024 * 1024;
const FILES_MAX = 256;

/**
 * What `<root>/<host>_<port>_/`, `<root>/<host>:<port>/` or `<root>/_default/` says of a registry: its hosts.toml or, where there is none, its certificates
 * named as Docker names them. Undefined when there is no such directory. Rejects with INVALID_ARGUMENT, naming the file.
 */
export async function hostsInDirectory(root: string, registry: string, own: RegistryHost): Promise<readonly RegistryHost[] | undefined> {
	for (const name of new Set([registry.replace(/:(\d+)$/, '_$1_'), registry, '_default'])) {
		const directory = path.join(root, name);
		if (await isDirectory(directory)) {
			const file = path.join(directory, 'hosts.toml');
			const text = await readLimited(file);
			return text === undefined ? [{...own, trust: await certificatesIn(directory)}] : parseHosts(tableOf(text, file), {file, own, read: readerFor(file)});
		}
	}
	return undefined;
}

async function isDirectory(directory: string): Promise<boolean> {
	return (await orMissing(directory, async () => stat(directory)))?.isDirectory() ?? false;
}

/** Undefined when it is not there. Rejects with INVALID_ARGUMENT when it is too large, or cannot be read. */
async function readLimited(file: string): Promise<string | undefined> {
	return orMissing(file, async () => {
		const {size} = await stat(file);
		if (size > FILE_BYTES_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `${file} has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
		}
		return readFile(file, 'utf8');
	});
}

async function orMissing<T>(file: string, work: () => Promise<T>): Promise<T | undefined> {
	try {
		return await work();
	} catch (error) {
		if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
			return undefined;
		}
		throw new KeelsonError('INVALID_ARGUMENT', `${file}: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
	}
}

/** Reads what a file names, relative to itself. */
export function readerFor(file: string): FileReader {
	return async name => {
		const text = await readLimited(path.resolve(path.dirname(file), name));
		if (text === undefined) {
			throw new KeelsonError('INVALID_ARGUMENT', `${file}: names ${name}, which is not there`);
		}
		return text;
	};
}

function tableOf(text: string, file: string): Readonly<Record<string, unknown>> {
	try {
		return parse(text);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `${file}: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
	}
}

/** Docker's certs.d: every `*.crt` is an authority, every `*.cert` a client's certificate beside its `*.key`. */
async function certificatesIn(directory: string): Promise<Trust> {
	const names = (await readdir(directory)).toSorted().slice(0, FILES_MAX);
	const read = readerFor(path.join(directory, 'hosts.toml'));
	const ca = await Promise.all(names.filter(name => name.endsWith('.crt')).map(read));
	const client = await Promise.all(names.filter(name => name.endsWith('.cert')).map(async name => (
		{certificate: await read(name), key: await read(name.replace(/\.cert$/, '.key'))}
	)));
	return {skipVerify: false, ...(ca.length === 0 ? {} : {ca}), ...(client.length === 0 ? {} : {client})};
}
