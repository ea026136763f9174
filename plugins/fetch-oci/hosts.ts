import {readFile, stat} from 'node:fs/promises';
import path from 'node:path';
import {parse} from 'smol-toml';
import {KeelsonError} from '../../kernel/errors.ts';

export type Capability = 'pull' | 'resolve' | 'push';

/** A place that answers for a registry: the registry itself, or a mirror. */
export interface RegistryHost {
	/** `https://host/v2` */
	readonly base: URL;
	readonly capabilities: ReadonlySet<Capability>;
	readonly headers: Readonly<Record<string, string>>;
	readonly trust: {
		readonly skipVerify: boolean;
		readonly ca?: readonly string[];
		readonly certificate?: string;
		readonly key?: string;
	};
}

interface HostsOptions {
	/** The first that has the host's directory counts. */
	readonly directories: readonly string[];
	readonly defaultScheme?: string;
}

const FILE_BYTES_MAX = 1024 * 1024;
const ALL: ReadonlySet<Capability> = new Set<Capability>(['pull', 'resolve', 'push']);

/**
 * The hosts to ask for a registry, mirrors first, the registry itself last, as `<directory>/<host>/hosts.toml` or `<directory>/_default/hosts.toml` say
 * (containerd docs/hosts.md). Rejects with INVALID_ARGUMENT, naming the file.
 */
export async function hostsFor(host: string, {directories, defaultScheme}: HostsOptions): Promise<readonly RegistryHost[]> {
	const own = (scheme: string): RegistryHost => ({base: new URL(`${scheme}://${registryAddress(host)}/v2`), capabilities: ALL, headers: {}, trust: {skipVerify: false}});
	const scheme = defaultScheme === undefined || defaultScheme === '' ? (isLoopback(host) ? 'http' : 'https') : defaultScheme;
	if (scheme !== 'http' && scheme !== 'https') {
		throw new KeelsonError('INVALID_ARGUMENT', `scheme ${JSON.stringify(scheme)} of registry ${host}: expected http or https`);
	}
	for (const directory of directories) {
		for (const name of [host, host.replace(/:(\d+)$/, '_$1_'), '_default']) {
			const file = path.join(directory, name, 'hosts.toml');
			const text = await readLimited(file);
			if (text !== undefined) {
				return hostsOf(tableOf(text, file), {file, own: own(scheme)});
			}
		}
	}
	return [own(scheme)];
}

/** Docker Hub's name is not its address. */
function registryAddress(host: string): string {
	return host === 'docker.io' ? 'registry-1.docker.io' : host;
}

export function isLoopback(host: string): boolean {
	const name = host.replace(/:\d+$/, '');
	return name === 'localhost' || name === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(name);
}

async function readLimited(file: string): Promise<string | undefined> {
	try {
		const {size} = await stat(file);
		if (size > FILE_BYTES_MAX) {
			throw new KeelsonError('INVALID_ARGUMENT', `${file} has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
		}
		return await readFile(file, 'utf8');
	} catch (error) {
		if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
			return undefined;
		}
		throw KeelsonError.from(error, 'INVALID_ARGUMENT');
	}
}

type Table = Readonly<Record<string, unknown>>;

function tableOf(text: string, file: string): Table {
	try {
		return parse(text);
	} catch (error) {
		throw new KeelsonError('INVALID_ARGUMENT', `${file}: ${error instanceof Error ? error.message : String(error)}`, {cause: error});
	}
}

async function hostsOf(table: Table, {file, own}: {file: string; own: RegistryHost}): Promise<readonly RegistryHost[]> {
	const hosts: RegistryHost[] = [];
	const mirrors = isTable(table['host']) ? table['host'] : {};
	for (const [address, entry] of Object.entries(mirrors)) {
		hosts.push(await hostOf(address, isTable(entry) ? entry : {}, file));
	}
	const {server} = table;
	hosts.push(typeof server === 'string' && server !== '' ? await hostOf(server, table, file) : await hostOf(`${own.base.protocol}//${own.base.host}`, table, file));
	return hosts;
}

async function hostOf(address: string, entry: Table, file: string): Promise<RegistryHost> {
	const text = address.includes('://') ? address : `https://${address}`;
	if (!URL.canParse(text)) {
		throw new KeelsonError('INVALID_ARGUMENT', `${file}: host ${JSON.stringify(address)} is no address`);
	}
	const base = new URL(text);
	const isOverride = entry['override_path'] === true;
	base.pathname = isOverride ? base.pathname.replace(/\/$/, '') : `${base.pathname.replace(/\/$/, '').replace(/\/v2$/, '')}/v2`;
	const named = strings(entry['capabilities']).filter((one): one is Capability => one === 'pull' || one === 'resolve' || one === 'push');
	const inDirectory = (name: string): string => path.resolve(path.dirname(file), name);
	const ca = await Promise.all(strings(entry['ca']).map(async name => requireFile(inDirectory(name), file)));
	const client = strings(Array.isArray(entry['client']) ? entry['client'].flat() : entry['client']);
	const [certificate, key] = await Promise.all(client.slice(0, 2).map(async name => requireFile(inDirectory(name), file)));
	return {
		base,
		capabilities: named.length === 0 ? ALL : new Set(named),
		headers: isTable(entry['header']) ? Object.fromEntries(Object.entries(entry['header']).map(([name, value]) => [name.toLowerCase(), strings(value).join(', ')])) : {},
		trust: {
			skipVerify: entry['skip_verify'] === true,
			...(ca.length === 0 ? {} : {ca}),
			...(certificate === undefined ? {} : {certificate, key: key ?? certificate}),
		},
	};
}

async function requireFile(name: string, file: string): Promise<string> {
	const text = await readLimited(name);
	if (text === undefined) {
		throw new KeelsonError('INVALID_ARGUMENT', `${file}: names ${name}, which is not there`);
	}
	return text;
}

function strings(value: unknown): string[] {
	return typeof value === 'string' ? [value] : Array.isArray(value) ? value.filter(one => typeof one === 'string') : [];
}

function isTable(value: unknown): value is Table {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
