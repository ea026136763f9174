import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {parseDuration} from '../../lib/duration/duration.ts';
import type {Capability, RegistryHost, Trust} from './hosts.ts';

type Table = Readonly<Record<string, unknown>>;

/** The text of a file that the configuration names. */
export type FileReader = (name: string) => Promise<string>;

interface Place {
	/** For messages. */
	readonly file: string;
	/** The registry as its name says. */
	readonly own: RegistryHost;
	readonly read: FileReader;
}

const CAPABILITIES: readonly string[] = ['pull', 'resolve', 'push', 'referrers'];

/** The hosts of a hosts.toml in the order of the file, the registry itself last. Rejects with INVALID_ARGUMENT, naming file and key. */
export async function parseHosts(table: Table, place: Place): Promise<readonly RegistryHost[]> {
	const {host = {}, server = ''} = table;
	if (!isTable(host) || typeof server !== 'string') {
		throw wrong(place, isTable(host) ? 'server' : 'host', isTable(host) ? server : host, isTable(host) ? 'an address' : 'tables named by addresses');
	}
	const hosts: RegistryHost[] = [];
	for (const [address, entry] of Object.entries(host)) {
		if (!isTable(entry)) {
			throw wrong(place, `host.${JSON.stringify(address)}`, entry, 'a table');
		}
		hosts.push(await hostOf(address, entry, place));
	}
	// As in containerd: without `server` the registry is its own server, and may do everything.
	const {own} = place;
	hosts.push(server === '' ? {...own, headers: headersOf(table, place), trust: await trustOf(table, place), ...credentialsOf(table, place)} : await hostOf(server, table, place));
	return hosts;
}

async function hostOf(address: string, entry: Table, place: Place): Promise<RegistryHost> {
	const text = address.includes('://') ? address : `https://${address}`;
	const base = URL.canParse(text) ? new URL(text) : undefined;
	if (base === undefined || (base.protocol !== 'https:' && base.protocol !== 'http:')) {
		throw new KeelsonError('INVALID_ARGUMENT', `${place.file}: host ${JSON.stringify(address)} is no address`);
	}
	const path = base.pathname.replace(/\/+$/, '');
	base.pathname = flag(entry, 'override_path', place) || path.endsWith('/v2') ? path : `${path}/v2`;
	return {base, capabilities: capabilitiesOf(entry, place), headers: headersOf(entry, place), trust: await trustOf(entry, place), ...credentialsOf(entry, place)};
}

function capabilitiesOf(entry: Table, place: Place): ReadonlySet<Capability> {
	const named = strings(entry['capabilities'] ?? [], 'capabilities', place);
	const unknown = named.find(one => !CAPABILITIES.includes(one));
	if (unknown !== undefined) {
		throw wrong(place, 'capabilities', unknown, `some of ${CAPABILITIES.join(', ')}`);
	}
	// Referrers are asked of whoever may be pulled from.
	return new Set(named.length === 0 ? ['pull', 'resolve', 'push'] : named.filter((one): one is Capability => one !== 'referrers'));
}

function headersOf(entry: Table, place: Place): Record<string, string> {
	const {header = {}} = entry;
	if (!isTable(header)) {
		throw wrong(place, 'header', header, 'a table');
	}
	return Object.fromEntries(Object.entries(header).map(([name, value]) => [name.toLowerCase(), strings(value, `header.${name}`, place).join(', ')]));
}

async function trustOf(entry: Table, place: Place): Promise<Trust> {
	const {read} = place;
	const ca = await Promise.all(strings(entry['ca'] ?? [], 'ca', place).map(read));
	const client = await Promise.all(clientPairs(entry['client'] ?? [], place).map(async ([certificate, key]) => {
		const text = await read(certificate);
		return {certificate: text, key: key === '' ? text : await read(key)};
	}));
	const dialTimeoutMs = dialTimeoutOf(entry, place);
	return {
		skipVerify: flag(entry, 'skip_verify', place),
		...(ca.length === 0 ? {} : {ca}),
		...(client.length === 0 ? {} : {client}),
		...(dialTimeoutMs === undefined ? {} : {dialTimeoutMs}),
	};
}

/** A file that has both, several of them, or pairs of certificate and key (an empty key: in the certificate's file). */
function clientPairs(value: unknown, place: Place): readonly (readonly [string, string])[] {
	if (!Array.isArray(value)) {
		return strings(value, 'client', place).map(one => [one, '']);
	}
	return value.map((one: unknown) => {
		const [certificate, key = '', ...rest] = strings(one, 'client', place);
		if (certificate === undefined || rest.length > 0) {
			throw wrong(place, 'client', one, 'pairs of certificate and key');
		}
		return [certificate, key];
	});
}

function dialTimeoutOf(entry: Table, place: Place): number | undefined {
	const {dial_timeout: text} = entry;
	if (text === undefined || text === '') {
		return undefined;
	}
	const timeout = typeof text === 'string' ? parseDuration(text) : undefined;
	if (timeout === undefined || timeout <= 0) {
		throw wrong(place, 'dial_timeout', text, 'a duration such as "10s"');
	}
	return timeout;
}

/** Not in containerd's format: who is asking, said beside the host. */
function credentialsOf(entry: Table, place: Place): {credentials?: Credentials} {
	const {auth} = entry;
	if (auth === undefined) {
		return {};
	}
	if (!isTable(auth)) {
		throw wrong(place, 'auth', typeof auth, 'a table');
	}
	const text = (name: string): string => {
		const value = auth[name] ?? '';
		if (typeof value !== 'string') {
			throw wrong(place, `auth.${name}`, typeof value, 'a text');
		}
		return value;
	};
	const token = text('identity_token');
	return {credentials: token === '' ? {username: text('username'), secret: text('password')} : {username: '', secret: token}};
}

function flag(entry: Table, name: string, place: Place): boolean {
	const value = entry[name] ?? false;
	if (typeof value !== 'boolean') {
		throw wrong(place, name, value, 'true or false');
	}
	return value;
}

function strings(value: unknown, name: string, place: Place): readonly string[] {
	if (typeof value === 'string') {
		return [value];
	}
	if (!Array.isArray(value) || value.some(one => typeof one !== 'string')) {
		throw wrong(place, name, value, 'a text or a list of texts');
	}
	return value as readonly string[];
}

function wrong({file}: Place, name: string, value: unknown, expected: string): KeelsonError {
	return new KeelsonError('INVALID_ARGUMENT', `${file}: ${name} is ${JSON.stringify(value)?.slice(0, 200)}, expected ${expected}`);
}

function isTable(value: unknown): value is Table {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
