import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import type {Challenge} from './challenge.ts';
import {isLoopback, type RegistryHost} from './hosts.ts';
import {discard, shown, type HttpClient} from './http-client.ts';
import {readJson} from './read-body.ts';

interface Wish {
	readonly http: HttpClient;
	readonly host: RegistryHost;
	readonly challenge: Challenge;
	readonly scopes: readonly string[];
	/** Undefined: asked for anonymously. */
	readonly credentials: Credentials | undefined;
	readonly trustedRealms: readonly string[];
	readonly signal: AbortSignal;
}

const TOKEN_BYTES_MAX = 256 * 1024;
const REALM_LENGTH_MAX = 4096;

/**
 * Distribution token protocol: GET with basic credentials or none, POST with a refresh token (OAuth2). Rejects with UNAUTHENTICATED or PERMISSION_DENIED when
 * the token server refuses, or is not one that may be asked. Credentials that it must not know are withheld: then it is asked anonymously.
 */
export async function fetchToken({http, host, challenge: {parameters}, scopes, credentials, trustedRealms, signal}: Wish): Promise<string> {
	const url = realmOf(parameters.get('realm') ?? '', host);
	const sent = credentials === undefined || mayHaveCredentials(url, host, trustedRealms) ? credentials : undefined;
	const service = parameters.get('service');
	const isRefresh = sent !== undefined && sent.header === undefined && sent.username === '' && sent.secret !== '';
	const headers: Record<string, string> = {accept: 'application/json'};
	let body: string | undefined;
	if (isRefresh) {
		headers['content-type'] = 'application/x-www-form-urlencoded';
		body = new URLSearchParams({
			grant_type: 'refresh_token', refresh_token: sent.secret, client_id: 'keelson', scope: scopes.join(' '), ...(service === undefined ? {} : {service}),
		}).toString();
	} else {
		if (service !== undefined) {
			url.searchParams.append('service', service);
		}
		for (const scope of scopes) {
			url.searchParams.append('scope', scope);
		}
		if (sent !== undefined) {
			headers['authorization'] = sent.header ?? basicHeader(sent);
		}
	}
	const response = await http.send({method: isRefresh ? 'POST' : 'GET', url, headers, signal, ...(body === undefined ? {} : {body})}, host.trust);
	if (response.statusCode !== 200) {
		await discard(response);
		const withheld = sent === undefined && credentials !== undefined ? `; credentials were withheld: ${url.host} is not in the domain of ${host.base.host} nor among trusted_realms` : '';
		const code = response.statusCode === 403 ? 'PERMISSION_DENIED' : response.statusCode === 429 || response.statusCode >= 500 ? 'UNAVAILABLE' : 'UNAUTHENTICATED';
		throw new KeelsonError(code, `token server ${shown(url)} answered ${response.statusCode} for ${scopes.join(' ')}${withheld}`);
	}
	const document = await readJson(response.body, {limit: TOKEN_BYTES_MAX, what: `token of ${shown(url)}`});
	const token = typeof document === 'object' && document !== null ? tokenIn(document) : undefined;
	if (token === undefined) {
		throw new KeelsonError('UNAUTHENTICATED', `token server ${shown(url)} answered without a token`);
	}
	return token;
}

export function basicHeader({username, secret}: Credentials): string {
	return `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;
}

/** A registry may name any realm; only one in its own domain, or one that the operator trusts, learns who the user is. */
function mayHaveCredentials(realm: URL, host: RegistryHost, trusted: readonly string[]): boolean {
	return realm.host === host.base.host || domainOf(realm.hostname) === domainOf(host.base.hostname) || trusted.includes(realm.host);
}

function realmOf(realm: string, host: RegistryHost): URL {
	if (realm.length > REALM_LENGTH_MAX || !URL.canParse(realm)) {
		throw new KeelsonError('UNAUTHENTICATED', `${host.base.host} asks for a token of ${JSON.stringify(realm.slice(0, 200))}, which is no address`);
	}
	const url = new URL(realm);
	const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && (host.base.protocol === 'http:' || isLoopback(url.host)));
	if (!isSafe) {
		throw new KeelsonError('PERMISSION_DENIED', `${host.base.host} asks for a token of ${shown(url)}: refused, it is less safe than the registry`);
	}
	return url;
}

function tokenIn(document: object): string | undefined {
	for (const name of ['token', 'access_token'] as const) {
		const value: unknown = Object.hasOwn(document, name) ? (document as Readonly<Record<string, unknown>>)[name] : undefined;
		if (typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)) {
			return value;
		}
	}
	return undefined;
}

/** The last two labels of a name, three below such as `co.uk`; an address is its own domain. */
function domainOf(hostname: string): string {
	if (/^[\d.]+$/.test(hostname) || hostname.startsWith('[')) {
		return hostname;
	}
	const labels = hostname.split('.');
	const [second = '', top = ''] = labels.slice(-2);
	return labels.slice(top.length === 2 && second.length <= 3 ? -3 : -2).join('.');
}
