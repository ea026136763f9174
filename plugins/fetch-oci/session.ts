import {setTimeout as delay} from 'node:timers/promises';
import type {RegistryOptions} from '../../contracts/fetch/fetch.ts';
import type {Reference} from '../../contracts/oci/reference.ts';
import {KeelsonError, isKeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import {Authorizer} from './authorizer.ts';
import type {Capability, RegistryHost} from './hosts.ts';
import {shown, type HttpClient, type HttpRequest, type HttpResponse} from './http-client.ts';
import {readBytes} from './read-body.ts';

interface Parts {
	readonly http: HttpClient;
	readonly hosts: readonly RegistryHost[];
	readonly reference: Reference;
	readonly options: RegistryOptions;
	readonly trustedRealms: readonly string[];
}

/** A request to a repository: its path is below `/v2/<repository>/`. */
export interface RepositoryRequest {
	readonly method: HttpRequest['method'];
	/** `manifests/latest` */
	readonly path: string;
	readonly query?: Readonly<Record<string, string>>;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: HttpRequest['body'];
	readonly signal?: AbortSignal;
}

const ATTEMPTS = 4;
const RETRY_AFTER_MAX_MS = 30_000;
const ERROR_BYTES_MAX = 16 * 1024;

/** One repository of one registry, for one pull or push: its hosts in order, and what they were told of who is asking. */
export class Session {
	readonly reference: Reference;
	readonly #parts: Parts;
	readonly #authorizer: Authorizer;
	readonly #closing = new AbortController();

	constructor(parts: Parts) {
		this.reference = parts.reference;
		this.#parts = parts;
		this.#authorizer = new Authorizer({http: parts.http, trustedRealms: parts.trustedRealms, credentials: parts.options.credentials});
	}

	/** Ends every request that is under way. */
	close(): void {
		this.#closing.abort(new KeelsonError('CANCELLED', `repository ${this.reference.host}/${this.reference.repository} was let go`));
	}

	/** A signal that ends with the session, or with the one given. */
	signal(own?: AbortSignal): AbortSignal {
		return AbortSignal.any([this.#closing.signal, ...(own === undefined ? [] : [own]), ...(this.#parts.options.signal === undefined ? [] : [this.#parts.options.signal])]);
	}

	/**
	 * The first answer that is a success, hosts tried in order. Rejects with what the last host said; a host that has not got it (404), or is not there,
	 * passes the question on.
	 */
	async ask(request: RepositoryRequest, capability: Capability): Promise<{response: HttpResponse; host: RegistryHost}> {
		let failure: KeelsonError | undefined;
		for (const host of this.#parts.hosts.filter(({capabilities}) => capabilities.has(capability))) {
			try {
				return {response: await this.askHost(host, request, capability), host};
			} catch (error) {
				failure = KeelsonError.from(error);
				if (this.signal(request.signal).aborted) {
					break;
				}
			}
		}
		throw failure ?? new KeelsonError('FAILED_PRECONDITION', `no host of ${this.reference.host} may ${capability}`);
	}

	/** Answers 401 once, and asks again after 429, 5xx and lost connections where that is safe. */
	async askHost(host: RegistryHost, request: RepositoryRequest, capability: Capability): Promise<HttpResponse> {
		const signal = this.signal(request.signal);
		const url = new URL(`${host.base.pathname}/${this.reference.repository}/${request.path}`, host.base);
		for (const [name, value] of Object.entries(request.query ?? {})) {
			url.searchParams.set(name, value);
		}
		return this.sendTo(host, url, {...request, signal}, capability);
	}

	/** Like askHost, to an address that the registry gave (an upload's location). */
	async sendTo(host: RegistryHost, url: URL, request: Omit<RepositoryRequest, 'path' | 'query'>, capability: Capability): Promise<HttpResponse> {
		const signal = this.signal(request.signal);
		const scope = `repository:${this.reference.repository}:${capability === 'push' ? 'pull,push' : 'pull'}`;
		const isRepeatable = request.body === undefined || typeof request.body === 'string' || request.body instanceof Uint8Array;
		let hasAnswered = false;
		for (let attempt = 1; ; attempt++) {
			const isLast = attempt >= ATTEMPTS || !isRepeatable;
			try {
				const authorization = url.host === host.base.host ? this.#authorizer.headerFor(host, scope) : undefined;
				const response = await this.#parts.http.send({
					method: request.method,
					url,
					headers: {...Object.fromEntries(this.#parts.options.headers ?? []), ...host.headers, ...request.headers, ...(authorization === undefined ? {} : {authorization})},
					signal,
					...(request.body === undefined ? {} : {body: request.body}),
				}, host.trust);
				if (response.statusCode === 401 && !hasAnswered && isRepeatable) {
					hasAnswered = true;
					await response.body.dump();
					if (await this.#authorizer.answer(headerOf(response, 'www-authenticate'), {host, scope, signal})) {
						continue;
					}
				}
				if (response.statusCode < 400) {
					return response;
				}
				const error = await failureOf(response, `${request.method} ${shown(url)}`);
				if (isLast || (response.statusCode !== 429 && response.statusCode < 500)) {
					throw error;
				}
				await delay(retryDelayMs(attempt, headerOf(response, 'retry-after')), undefined, {signal});
			} catch (error) {
				if (isLast || signal.aborted || !isKeelsonError(error, 'UNAVAILABLE') || error.cause === undefined) {
					throw signal.aborted ? KeelsonError.from(signal.reason, 'CANCELLED') : error;
				}
				await delay(retryDelayMs(attempt, ''), undefined, {signal});
			}
		}
	}
}

export function headerOf(response: HttpResponse, name: string): string {
	const value = response.headers[name];
	return typeof value === 'string' ? value : Array.isArray(value) ? value.join(', ') : '';
}

function retryDelayMs(attempt: number, retryAfter: string): number {
	const seconds = Number.parseInt(retryAfter, 10);
	return Number.isNaN(seconds) ? 100 * 2 ** attempt : Math.min(seconds * 1000, RETRY_AFTER_MAX_MS);
}

const CODES: Readonly<Record<number, ErrorCode>> = {400: 'INVALID_ARGUMENT', 401: 'UNAUTHENTICATED', 403: 'PERMISSION_DENIED', 404: 'NOT_FOUND', 416: 'OUT_OF_RANGE', 429: 'RESOURCE_EXHAUSTED'};

/** Says what was asked, the status, and the registry's own words, cut short. */
async function failureOf(response: HttpResponse, what: string): Promise<KeelsonError> {
	const code = CODES[response.statusCode] ?? (response.statusCode >= 500 ? 'UNAVAILABLE' : 'UNKNOWN');
	const words = await readBytes(response.body, {limit: ERROR_BYTES_MAX, what: 'error'}).then(bytes => bytes.toString('utf8').trim(), () => '');
	return new KeelsonError(code, `unexpected status from ${what}: ${response.statusCode}${words === '' ? '' : `: ${words.slice(0, 500)}`}${code === 'NOT_FOUND' ? ': not found' : ''}`);
}
