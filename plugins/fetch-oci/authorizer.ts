import type {Credentials} from '../../contracts/fetch/fetch.ts';
import {KeelsonError} from '../../kernel/errors.ts';
import {parseChallenges, type Challenge} from './challenge.ts';
import {isLoopback, type RegistryHost} from './hosts.ts';
import {shown, type HttpClient} from './http-client.ts';
import {readJson} from './read-body.ts';

interface Parts {
	readonly http: HttpClient;
	readonly trustedRealms: readonly string[];
	readonly credentials: ((host: string, signal: AbortSignal) => Promise<Credentials | undefined>) | undefined;
}

const TOKEN_BYTES_MAX = 256 * 1024;

/** Answers challenges for one pull or push; tokens are kept by host and scope as long as it lives. */
export class Authorizer {
	readonly #parts: Parts;
	readonly #headers = new Map<string, string>();

	constructor(parts: Parts) {
		this.#parts = parts;
	}

	/** What to send with a request; undefined until the host has asked. */
	headerFor(host: RegistryHost, scope: string): string | undefined {
		return this.#headers.get(`${host.base.host} ${scope}`) ?? this.#headers.get(`${host.base.host} basic`);
	}

	/**
	 * Finds an answer to a 401. False when there is none that was not tried. Rejects with UNAUTHENTICATED or PERMISSION_DENIED when the token server refuses,
	 * or when it is not one that may be sent credentials.
	 */
	async answer(header: string, {host, scope, signal}: {host: RegistryHost; scope: string; signal: AbortSignal}): Promise<boolean> {
		const challenges = parseChallenges(header);
		const credentials = await this.#parts.credentials?.(host.base.host, signal);
		const bearer = challenges.find(({scheme}) => scheme === 'bearer');
		if (bearer !== undefined) {
			const token = await this.#token(bearer, {host, scope, credentials, signal});
			return this.#keep(`${host.base.host} ${scope}`, `Bearer ${token}`);
		}
		if (credentials?.header !== undefined) {
			return this.#keep(`${host.base.host} basic`, credentials.header);
		}
		if (challenges.some(({scheme}) => scheme === 'basic') && credentials !== undefined && credentials.username !== '') {
			return this.#keep(`${host.base.host} basic`, basic(credentials));
		}
		return false;
	}

	#keep(key: string, header: string): boolean {
		const isNew = this.#headers.get(key) !== header;
		this.#headers.set(key, header);
		return isNew;
	}

	/** Distribution token protocol: GET with basic credentials, or POST with a refresh token (OAuth2). */
	async #token({parameters}: Challenge, {host, scope, credentials, signal}: {host: RegistryHost; scope: string; credentials: Credentials | undefined; signal: AbortSignal}): Promise<string> {
		const realm = parameters.get('realm') ?? '';
		const url = realmOf(realm, host);
		const sent = credentials === undefined || this.#mayHaveCredentials(url, host) ? credentials : undefined;
		const service = parameters.get('service');
		const form = new URLSearchParams({...(service === undefined ? {} : {service}), scope});
		const isRefresh = sent !== undefined && sent.header === undefined && sent.username === '' && sent.secret !== '';
		const headers: Record<string, string> = {accept: 'application/json'};
		let body: string | undefined;
		if (isRefresh) {
			form.set('grant_type', 'refresh_token');
			form.set('refresh_token', sent.secret);
			form.set('client_id', 'keelson');
			headers['content-type'] = 'application/x-www-form-urlencoded';
			body = form.toString();
		} else {
			for (const [name, value] of form) {
				url.searchParams.append(name, value);
			}
			if (sent !== undefined) {
				headers['authorization'] = sent.header ?? basic(sent);
			}
		}
		const response = await this.#parts.http.send({method: isRefresh ? 'POST' : 'GET', url, headers, signal, ...(body === undefined ? {} : {body})}, host.trust);
		if (response.statusCode !== 200) {
			await response.body.dump();
			const refusal = sent === undefined && credentials !== undefined ? `; credentials were withheld: ${url.host} is not in the domain of ${host.base.host} nor among trusted_realms` : '';
			throw new KeelsonError(response.statusCode === 403 ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED', `token server ${shown(url)} answered ${response.statusCode} for ${scope}${refusal}`);
		}
		const document = await readJson(response.body, {limit: TOKEN_BYTES_MAX, what: `token of ${shown(url)}`});
		const token = typeof document === 'object' && document !== null ? tokenIn(document) : undefined;
		if (token === undefined) {
			throw new KeelsonError('UNAUTHENTICATED', `token server ${shown(url)} answered without a token`);
		}
		return token;
	}

	/** A registry may name any realm; only one in its own domain, or one that the operator trusts, learns who the user is. */
	#mayHaveCredentials(realm: URL, host: RegistryHost): boolean {
		return realm.host === host.base.host || domainOf(realm.hostname) === domainOf(host.base.hostname) || this.#parts.trustedRealms.includes(realm.host);
	}
}

function realmOf(realm: string, host: RegistryHost): URL {
	if (!URL.canParse(realm)) {
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
		const value: unknown = name in document ? (document as Readonly<Record<string, unknown>>)[name] : undefined;
		if (typeof value === 'string' && value !== '' && !/[\r\n]/.test(value)) {
			return value;
		}
	}
	return undefined;
}

function basic({username, secret}: Credentials): string {
	return `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;
}

/** The last two labels of a name; an address is its own domain. */
function domainOf(hostname: string): string {
	return /^[\d.]+$/.test(hostname) || hostname.startsWith('[') ? hostname : hostname.split('.').slice(-2).join('.');
}
