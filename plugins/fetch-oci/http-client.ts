import type {Readable} from 'node:stream';
import {Agent, request, type Dispatcher} from 'undici';
import {KeelsonError} from '../../kernel/errors.ts';
import type {RegistryHost} from './hosts.ts';

/** A message to a registry. */
export interface HttpRequest {
	readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
	readonly url: URL;
	readonly headers: Readonly<Record<string, string>>;
	readonly body?: Uint8Array | Readable | string;
	readonly signal?: AbortSignal;
}

export type HttpResponse = Dispatcher.ResponseData;

interface Options {
	readonly stallTimeoutMs: number;
	readonly userAgent: string;
}

const CONNECT_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 60_000;
const HEADER_BYTES_MAX = 64 * 1024;
const REDIRECTS_MAX = 5;

/** Connections that are kept, and shared by all pulls; one pool for each way of trusting a host. */
export class HttpClient implements AsyncDisposable {
	readonly #options: Options;
	readonly #agents = new Map<string, Agent>();

	constructor(options: Options) {
		this.#options = options;
	}

	/**
	 * Sends, and follows redirects of GET and HEAD. `headers` named authorization go to the first host alone.
	 * Rejects with UNAVAILABLE when there is no answer, CANCELLED when aborted. The caller reads or dumps the body.
	 */
	async send(message: HttpRequest, trust: RegistryHost['trust']): Promise<HttpResponse> {
		let current = message;
		for (let hops = 0; ; hops++) {
			const response = await this.#once(current, trust);
			const {location} = response.headers;
			if (![301, 302, 303, 307, 308].includes(response.statusCode) || typeof location !== 'string' || (message.method !== 'GET' && message.method !== 'HEAD')) {
				return response;
			}
			await response.body.dump();
			if (hops === REDIRECTS_MAX) {
				throw new KeelsonError('UNAVAILABLE', `${message.method} ${shown(message.url)}: more than ${REDIRECTS_MAX} redirects`);
			}
			current = redirected(current, location);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.#agents.values()].map(async agent => agent.destroy()));
		this.#agents.clear();
	}

	async #once({method, url, headers, body, signal}: HttpRequest, trust: RegistryHost['trust']): Promise<HttpResponse> {
		try {
			return await request(url, {
				method,
				headers: {'user-agent': this.#options.userAgent, ...headers},
				body: body ?? null,
				dispatcher: this.#agentFor(trust),
				...(signal === undefined ? {} : {signal}),
			});
		} catch (error) {
			throw requestFailed(error, `${method} ${shown(url)}`, signal);
		}
	}

	#agentFor(trust: RegistryHost['trust']): Agent {
		const key = JSON.stringify([trust.skipVerify, trust.ca, trust.certificate]);
		const known = this.#agents.get(key);
		if (known !== undefined) {
			return known;
		}
		const agent = new Agent({
			bodyTimeout: this.#options.stallTimeoutMs,
			headersTimeout: HEADERS_TIMEOUT_MS,
			maxHeaderSize: HEADER_BYTES_MAX,
			connect: {
				timeout: CONNECT_TIMEOUT_MS,
				rejectUnauthorized: !trust.skipVerify,
				...(trust.ca === undefined ? {} : {ca: [...trust.ca]}),
				...(trust.certificate === undefined ? {} : {cert: trust.certificate, key: trust.key}),
			},
		});
		this.#agents.set(key, agent);
		return agent;
	}
}

/** Credentials never travel to another host, nor down to plain http (CVE-2020-15157). */
function redirected(message: HttpRequest, location: string): HttpRequest {
	if (!URL.canParse(location, message.url.href)) {
		throw new KeelsonError('UNAVAILABLE', `${shown(message.url)} redirects to ${JSON.stringify(location.slice(0, 200))}, which is no address`);
	}
	const url = new URL(location, message.url);
	if (url.protocol !== 'https:' && (url.protocol !== 'http:' || message.url.protocol === 'https:')) {
		throw new KeelsonError('PERMISSION_DENIED', `${shown(message.url)} redirects to ${shown(url)}: refused, it is less safe`);
	}
	const {authorization: _authorization, ...others} = message.headers;
	return {...message, url, headers: url.host === message.url.host ? message.headers : others};
}

/** What a failure on the way means. */
export function requestFailed(error: unknown, what: string, signal?: AbortSignal): KeelsonError {
	if (signal?.aborted === true) {
		return KeelsonError.from(signal.reason, 'CANCELLED');
	}
	const message = error instanceof Error ? error.message : String(error);
	const cause = error instanceof AggregateError ? error.errors.map(String).join('; ') : message;
	return new KeelsonError('UNAVAILABLE', `${what}: ${cause}`, {cause: error});
}

/** Without query: it may hold a signature. */
export function shown(url: URL): string {
	return `${url.protocol}//${url.host}${url.pathname}`;
}
