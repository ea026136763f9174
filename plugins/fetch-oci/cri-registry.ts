import {z} from 'zod';
import {KeelsonError} from '../../kernel/errors.ts';
import type {CredentialSource} from './credentials.ts';
import {credentialsIn} from './docker-config.ts';
import {readerFor} from './hosts-directory.ts';
import type {Capability, HostsRule, RegistryHost, Trust} from './hosts.ts';

const text = z.string().default('');

/** containerd's `registry` table of the CRI plugin: where a kubelet's node says how registries are reached. */
const schema = z.object({
	config_path: text,
	mirrors: z.record(z.string(), z.object({endpoint: z.array(z.string()).nullish()})).default({}),
	configs: z.record(z.string(), z.object({
		auth: z.record(z.string(), z.unknown()).nullish(),
		tls: z.object({insecure_skip_verify: z.boolean().default(false), ca_file: text, cert_file: text, key_file: text}).nullish(),
	})).default({}),
	headers: z.record(z.string(), z.array(z.string())).nullish(),
});

/** Ids under which containerd keeps the table, newest first. */
const PLUGINS = ['io.containerd.cri.v1.images', 'io.containerd.grpc.v1.cri'] as const;

/** What a kubelet asks of an endpoint. A push goes to the registry itself, never to who mirrors it. */
const ENDPOINT_MAY: ReadonlySet<Capability> = new Set(['pull', 'resolve']);

type Table = z.output<typeof schema>;

/** What a CRI table says, in the terms of this room. */
export interface CriRegistry {
	/** Directories of hosts.toml trees. */
	readonly configPath: string;
	readonly hosts: HostsRule;
	readonly credentials: CredentialSource;
}

/** Reads the table out of the daemon's configuration; undefined when there is none. Throws INVALID_ARGUMENT, naming the key. */
export function criRegistry(plugins: Readonly<Record<string, Readonly<Record<string, unknown>>>>): CriRegistry | undefined {
	const id = PLUGINS.find(one => plugins[one]?.['registry'] !== undefined);
	if (id === undefined) {
		return undefined;
	}
	const where = `plugins.${JSON.stringify(id)}.registry`;
	const parsed = schema.safeParse(plugins[id]?.['registry']);
	if (!parsed.success) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where}: ${parsed.error.issues.map(({path, message}) => `${path.join('.')}: ${message}`).join('; ')}`);
	}
	const table = parsed.data;
	if (table.config_path !== '' && (Object.keys(table.mirrors).length > 0 || Object.values(table.configs).some(({tls}) => tls !== undefined && tls !== null))) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where}: mirrors and configs.*.tls cannot be set when config_path is, which is ${JSON.stringify(table.config_path)}`);
	}
	return {
		configPath: table.config_path,
		hosts: async (registry, own) => hostsOf(table, registry, own, where),
		credentials: async host => {
			const entry = table.configs[host]?.auth ?? (host === 'registry-1.docker.io' ? table.configs['docker.io']?.auth : undefined);
			return entry === undefined || entry === null ? undefined : credentialsIn(entry);
		},
	};
}

/** The mirrors of the registry, or those of `*`, and the registry itself last unless it is among them. */
async function hostsOf(table: Table, registry: string, own: RegistryHost, where: string): Promise<readonly RegistryHost[]> {
	const endpoints = (table.mirrors[registry] ?? table.mirrors['*'])?.endpoint ?? [];
	const bases = endpoints.map(endpoint => baseOf(endpoint, where));
	if (bases.every(({host}) => host !== own.base.host)) {
		bases.push(own.base);
	}
	const headers = Object.fromEntries(Object.entries(table.headers ?? {}).map(([name, values]) => [name.toLowerCase(), values.join(', ')]));
	return Promise.all(bases.map(async base => ({
		...own, base, headers, trust: await trustOf(table, base.host, where),
		...(base.host === own.base.host ? {} : {capabilities: ENDPOINT_MAY}),
	})));
}

function baseOf(endpoint: string, where: string): URL {
	const address = endpoint.includes('://') ? endpoint : `https://${endpoint}`;
	const base = URL.canParse(address) ? new URL(address) : undefined;
	if (base === undefined || (base.protocol !== 'http:' && base.protocol !== 'https:')) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where}: endpoint ${JSON.stringify(endpoint)} is no address`);
	}
	base.pathname = base.pathname === '/' ? '/v2' : base.pathname.replace(/\/+$/, '');
	return base;
}

async function trustOf({configs}: Table, host: string, where: string): Promise<Trust> {
	const tls = configs[host]?.tls;
	if (tls === undefined || tls === null) {
		return {skipVerify: false};
	}
	const {insecure_skip_verify: skipVerify, ca_file: ca, cert_file: certificate, key_file: key} = tls;
	if ((certificate === '') !== (key === '')) {
		throw new KeelsonError('INVALID_ARGUMENT', `${where}: tls of ${host} has ${certificate === '' ? 'key_file without cert_file' : 'cert_file without key_file'}`);
	}
	const read = readerFor('/');
	return {
		skipVerify,
		...(ca === '' ? {} : {ca: [await read(ca)]}),
		...(certificate === '' ? {} : {client: [{certificate: await read(certificate), key: await read(key)}]}),
	};
}
