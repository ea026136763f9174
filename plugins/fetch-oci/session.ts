import {setTimeout as delay} from 'node:timers/promises';
import type {RegistryOptions} from '../../contracts/fetch/fetch.ts';
import type {Reference} from '../../contracts/oci/reference.ts';
import {KeelsonError, isKeelsonError, type ErrorCode} from '../../kernel/errors.ts';
import {Authorizer} from './authorizer.ts';
import {firstOf, type CredentialSource} from './credentials.ts';
import type {Capability, RegistryHost, Trust} from './hosts.ts';
import {discard, headerOf, headersTo, shown, type HttpClient, type HttpRequest, type HttpResponse} from './http-client.ts';
import {Notices} from './notices.ts';
import {readBytes} from './read-body.ts';
import {isPassing, retryDelayMs} from './retry.ts';
import {mergeScopes} from './scope.ts';

export interface SessionParts {
	readonly http: HttpClient;
	readonly hosts: readonly RegistryHost[];
	readonly reference: Reference;
	readonly options: RegistryOptions;
	readonly trustedRealms: readonly string[];
	/** Asked when the request itself brings no credentials. */
	readonly credentials: readonly CredentialSource[];
}

/** A request to a repository: its path is below `/v2/<repository>/`. */
export interface RepositoryRequest {
	readonly method: HttpRequest['method'];
	/** `manifests/latest` */
	readonly path: string;
	readonly query?: Readonly<Record<string, string>>;
	readonly headers?: Readonly<Record<string, string>>;
	/** A stream goes once: what fails with it is not tried again. */
	readonly body?: HttpRequest['body'];
	readonly signal?: AbortSignal;
	readonly isLarge?: boolean;
}

const ATTEMPTS = 4;
const ERROR_BYTES_MAX = 16 * 1024;

/** One repository of one registry, for one pull or push: its hosts in order, and what they were told of who is asking. */
export class Session {
	readonly reference: Reference;
	readonly notices = new Notices();
	readonly #parts: SessionParts;
	readonly #authorizer: Authorizer;
	/** Beside the repository's own: where blobs may be mounted from. */
	readonly #scopes = new Set<string>();
	readonly #closing = new AbortController();

	constructor(parts: SessionParts) {
		this.reference = parts.reference;
		this.#parts = parts;
		const {options, credentials: sources} = parts;
		this.#authorizer = new Authorizer({...parts, async identify(host, signal, challenge) {
			const own = await options.credentials?.(host.base.host, signal, challenge);
			// Clients answer with nothing at all where they were told nothing.
			const isOwn = own !== undefined && (own.username !== '' || own.secret !== '' || own.header !== undefined);
			const credentials = isOwn ? own : await firstOf(sources, host, signal);
			return credentials === undefined ? undefined : {credentials, isOwn};
		}});
	}

	/** Ends every request that is under way. */
	close(): void {
		this.#closing.abort(new KeelsonError('CANCELLED', `repository ${this.reference.host}/${this.reference.repository} was let go`));
	}

	/** Something large will be asked for soon. */
	expectLarge(): void {
		const host = this.#parts.hosts.find(({capabilities}) => capabilities.has('pull'));
		if (host !== undefined) {
			this.#parts.http.expectLarge({url: host.base, headers: this.#headersOf(host)}, host.trust);
		}
	}

	/** A signal that ends with the session, or with the one given. */
	signal(own?: AbortSignal): AbortSignal {
		return AbortSignal.any([this.#closing.signal, ...(own === undefined ? [] : [own]), ...(this.#parts.options.signal === undefined ? [] : [this.#parts.options.signal])]);
	}

	/** From now on tokens are asked for with the right to read this repository too, or no longer. */
	mayRead(repository: string, isWanted: boolean): void {
		const scope = `repository:${repository}:pull`;
		if (isWanted) {
			this.#scopes.add(scope);
		} else {
			this.#scopes.delete(scope);
		}
	}

	/**
	 * The first answer that is a success, hosts tried in order; what is pushed goes to the first that takes it, and nowhere else. Rejects with what the last host
	 * said; a host that has not got it (404), or is not there, passes the question on.
	 */
	async ask(request: RepositoryRequest, capability: Capability): Promise<{response: HttpResponse; host: RegistryHost}> {
		const able = this.#parts.hosts.filter(({capabilities}) => capabilities.has(capability));
		let failure: KeelsonError | undefined;
		for (const host of capability === 'push' ? able.slice(0, 1) : able) {
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

	/** Answers 401 once, and asks again after 429, 5xx and lost connections. */
	async askHost(host: RegistryHost, request: RepositoryRequest, capability: Capability): Promise<HttpResponse> {
		const url = new URL(`${host.base.pathname}/${this.reference.repository}/${request.path}`, host.base);
		for (const [name, value] of Object.entries({...request.query, ...(host.mirrorOf === undefined || capability === 'push' ? {} : {ns: host.mirrorOf})})) {
			url.searchParams.set(name, value);
		}
		return this.sendTo(host, url, request, capability);
	}

	/** Like askHost, to an address that the registry gave (an upload's location): another host learns neither tokens nor headers. */
	async sendTo(host: RegistryHost, url: URL, request: Omit<RepositoryRequest, 'path' | 'query'>, capability: Capability): Promise<HttpResponse> {
		const signal = this.signal(request.signal);
		const isRepeatable = request.body === undefined || typeof request.body === 'string' || request.body instanceof Uint8Array;
		let hasAnswered = !isRepeatable;
		for (let attempt = isRepeatable ? 1 : ATTEMPTS; ; attempt++) {
			const scopes = mergeScopes([`repository:${this.reference.repository}:${capability === 'push' ? 'pull,push' : 'pull'}`, ...this.#scopes]);
			const authorization = this.#authorizer.headerFor(host, scopes);
			const own = {...this.#headersOf(host), ...(authorization === undefined ? {} : {authorization})};
			const response = await this.#send({
				method: request.method, url, signal, headers: {...headersTo(url, host.base, own), ...request.headers}, ...(request.body === undefined ? {} : {body: request.body}), isLarge: request.isLarge === true,
			}, host.trust, attempt);
			if (response === undefined) {
				continue;
			}
			this.notices.note(response);
			if (response.statusCode < 400) {
				return response;
			}
			// Whoever a redirect led to has no business with our credentials.
			if (response.statusCode === 401 && !hasAnswered && response.url.host === host.base.host) {
				hasAnswered = true;
				const isAnswered = this.#authorizer.answer(headerOf(response, 'www-authenticate'), {host, scopes, refused: authorization, signal: this.signal()});
				if (await isAnswered.catch(async error => discard(response).then(() => Promise.reject(error)))) {
					await discard(response);
					continue;
				}
			}
			await this.#backOff(response, {attempt, signal, what: `${request.method} request to ${shown(url)}`});
		}
	}

	/** Follows an address of anybody's, without telling who we are. */
	async askStranger(url: URL, {headers = {}, signal: own, isLarge = false}: Pick<RepositoryRequest, 'headers' | 'signal' | 'isLarge'>): Promise<HttpResponse> {
		const signal = this.signal(own);
		for (let attempt = 1; ; attempt++) {
			const response = await this.#send({method: 'GET', url, headers, signal, isLarge}, {skipVerify: false}, attempt);
			if (response !== undefined && response.statusCode < 400) {
				return response;
			}
			if (response !== undefined) {
				await this.#backOff(response, {attempt, signal, what: `GET request to ${shown(url)}`});
			}
		}
	}

	#headersOf(host: RegistryHost): Readonly<Record<string, string>> {
		return {...Object.fromEntries(this.#parts.options.headers ?? []), ...host.headers};
	}

	/** Undefined when the connection was lost, and it is time to try again. */
	async #send(message: HttpRequest & {signal: AbortSignal}, trust: Trust, attempt: number): Promise<HttpResponse | undefined> {
		const {signal} = message;
		try {
			return await this.#parts.http.send(message, trust);
		} catch (error) {
			if (attempt >= ATTEMPTS || signal.aborted || !isKeelsonError(error, 'UNAVAILABLE') || error.cause === undefined) {
				throw signal.aborted ? KeelsonError.from(signal.reason, 'CANCELLED') : error;
			}
			await pause(retryDelayMs(attempt) ?? 0, signal);
			return undefined;
		}
	}

	/** Waits before the next attempt. Rejects with what the registry said when there is no point in one. */
	async #backOff(response: HttpResponse, {attempt, signal, what}: {attempt: number; signal: AbortSignal; what: string}): Promise<void> {
		const wait = attempt < ATTEMPTS && isPassing(response.statusCode) ? retryDelayMs(attempt, headerOf(response, 'retry-after')) : undefined;
		const error = await failureOf(response, what, this.notices.list());
		if (wait === undefined) {
			throw error;
		}
		await pause(wait, signal);
	}
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
	try {
		await delay(milliseconds, undefined, {signal});
	} catch {
		throw KeelsonError.from(signal.reason, 'CANCELLED');
	}
}

const CODES: Readonly<Record<number, ErrorCode>> = {400: 'INVALID_ARGUMENT', 401: 'UNAUTHENTICATED', 403: 'PERMISSION_DENIED', 404: 'NOT_FOUND', 405: 'UNIMPLEMENTED', 416: 'OUT_OF_RANGE', 429: 'RESOURCE_EXHAUSTED', 501: 'UNIMPLEMENTED'};

/** Says what was asked, the status, and the registry's own words, cut short. */
async function failureOf(response: HttpResponse, what: string, notices: readonly string[]): Promise<KeelsonError> {
	const {statusCode: status} = response;
	// Not at the daemon's start: with it comes much that is not needed there.
	const {STATUS_CODES: {[status]: reason}} = await import('node:http');
	const code = CODES[status] ?? (isPassing(status) ? 'UNAVAILABLE' : 'UNKNOWN');
	const words = await readBytes(response.body, {limit: ERROR_BYTES_MAX, what: 'error'}).then(bytes => bytes.toString('utf8').trim(), () => '');
	const retryAfter = headerOf(response, 'retry-after').slice(0, 64);
	const limits = status === 429 ? [...(retryAfter === '' ? [] : [`asked to wait until ${JSON.stringify(retryAfter)}`]), ...notices].map(one => `; ${one}`).join('') : '';
	return new KeelsonError(code, `unexpected status from ${what}: ${status}${reason === undefined ? '' : ` ${reason}`}${words === '' ? '' : `: ${words.slice(0, 500)}`}${limits}${code === 'NOT_FOUND' ? ': not found' : ''}`);
}
