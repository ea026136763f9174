import {Readable} from 'node:stream';
import type {Dispatcher} from 'undici';
import {KeelsonError} from '../../kernel/errors.ts';
import {Agents} from './agents.ts';
import {BodyThread} from './body-thread.ts';
import type {Trust} from './hosts.ts';
import {proxyFor} from './proxy.ts';
import {SentBody} from './sent-body.ts';
import {SmallClient} from './small-client.ts';

/** A message to a registry. */
export interface HttpRequest {
	readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
	readonly url: URL;
	readonly headers: Readonly<Record<string, string>>;
	readonly body?: Uint8Array | Readable | string;
	readonly signal?: AbortSignal;
	/** Of a GET: much is expected, and read in another thread. */
	readonly isLarge?: boolean;
}

/** An answer's bytes, read once; whoever stops early lets the rest go. */
export interface Body extends AsyncIterable<Uint8Array> {
	destroy(): unknown;
	/** Reads what is left, up to so many bytes. */
	dump(options: {readonly limit: number}): Promise<void>;
}

/** An answer, and the address that gave it: another than was asked, after a redirect. */
export type HttpResponse = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers'> & {readonly url: URL; readonly body: Body};

export interface HttpOptions {
	/** Milliseconds without a byte after which a body counts as broken. */
	readonly stallTimeoutMs: number;
	readonly userAgent: string;
	/** Where proxies are named; default: nowhere. */
	readonly environment?: Readonly<Record<string, string | undefined>>;
}

const HEADERS_TIMEOUT_MS = 60_000;
const REDIRECTS_MAX = 5;
/** Goes at once, whoever reads it. */
const SMALL_BYTES = 64 * 1024;
/** What another host than the one that was meant may know of a request. Anything else may be a secret (CVE-2020-15157). */
const HARMLESS_HEADERS: ReadonlySet<string> = new Set(['accept', 'range']);

/** Sends and receives over connections that are kept, and shared by all pulls. */
export class HttpClient implements AsyncDisposable {
	readonly #options: HttpOptions;
	readonly #agents: Agents;
	readonly #thread: BodyThread;
	readonly #smalls = new SmallClient();

	constructor(options: HttpOptions) {
		this.#options = options;
		this.#thread = new BodyThread(options.environment ?? {});
		this.#agents = new Agents(options.environment ?? {});
	}

	/**
	 * Sends, and follows redirects of GET and HEAD; another host sees nothing but what is asked for.
	 * Rejects with UNAVAILABLE when there is no answer, CANCELLED when aborted. The caller reads or dumps the body.
	 */
	async send(message: HttpRequest, trust: Trust): Promise<HttpResponse> {
		let current = message;
		for (let hops = 0; ; hops++) {
			const response = await this.#once(current, trust);
			const {location} = response.headers;
			if (![301, 302, 303, 307, 308].includes(response.statusCode) || typeof location !== 'string' || (message.method !== 'GET' && message.method !== 'HEAD')) {
				return response;
			}
			await discard(response);
			if (hops === REDIRECTS_MAX) {
				throw new KeelsonError('UNAVAILABLE', `${message.method} ${shown(message.url)}: more than ${REDIRECTS_MAX} redirects`);
			}
			current = redirected(current, location);
		}
	}

	/** Something large will be asked for soon, where this is. */
	expectLarge(what: Pick<HttpRequest, 'url' | 'headers'>, trust: Trust): void {
		this.#thread.expect(what, trust);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#smalls[Symbol.dispose]();
		await Promise.all([this.#agents[Symbol.asyncDispose](), this.#thread[Symbol.asyncDispose]()]);
	}

	async #once(message: HttpRequest, trust: Trust): Promise<HttpResponse> {
		const {method, url, signal} = message;
		try {
			return await (message.isLarge === true ? this.#large(message, trust) : this.#small(message, trust));
		} catch (error) {
			throw requestFailed(error, `${method} ${shown(url)}`, signal);
		}
	}

	async #large({url, headers, signal}: HttpRequest, trust: Trust): Promise<HttpResponse> {
		return this.#thread.get({url, headers: {'user-agent': this.#options.userAgent, ...headers}, ...this.#timeouts(), signal}, trust);
	}

	async #small({method, url, headers, body, signal}: HttpRequest, trust: Trust): Promise<HttpResponse> {
		const own = {'user-agent': this.#options.userAgent, ...(body instanceof Uint8Array ? {'content-length': String(body.length)} : {}), ...headers};
		const isSmall = body === undefined || typeof body === 'string' || (body instanceof Uint8Array && body.length <= SMALL_BYTES);
		if (isSmall && proxyFor(url, this.#options.environment ?? {}) === undefined) {
			return {url, ...await this.#smalls.send({method, url, trust, headers: own, body, signal, ...this.#timeouts()})};
		}
		using sending = isSmall ? undefined : new SentBody(body, this.#options.stallTimeoutMs);
		const signals = [...(signal === undefined ? [] : [signal]), ...(sending === undefined ? [] : [sending.signal])];
		const {headersTimeoutMs, stallTimeoutMs} = this.#timeouts();
		const {request} = await import('undici');
		const response = await request(url, {
			method,
			headers: own,
			body: sending === undefined ? body ?? null : Readable.from(sending.read()),
			// Undici would close the connection after each HEAD, for servers that send a body all the same; those fail once, and are asked again.
			reset: false,
			dispatcher: await this.#agents.get(url, trust),
			headersTimeout: headersTimeoutMs,
			bodyTimeout: stallTimeoutMs,
			...(signals.length === 0 ? {} : {signal: AbortSignal.any(signals)}),
		});
		return Object.assign(response, {url});
	}

	#timeouts(): {readonly headersTimeoutMs: number; readonly stallTimeoutMs: number} {
		const {stallTimeoutMs} = this.#options;
		return {stallTimeoutMs, headersTimeoutMs: Math.min(HEADERS_TIMEOUT_MS, stallTimeoutMs * 2)};
	}
}

/** A redirect never leads down to plain http, nor to anything but http. */
function redirected(message: HttpRequest, location: string): HttpRequest {
	if (!URL.canParse(location, message.url.href)) {
		throw new KeelsonError('UNAVAILABLE', `${shown(message.url)} redirects to ${JSON.stringify(location.slice(0, 200))}, which is no address`);
	}
	const url = new URL(location, message.url);
	if (url.protocol !== 'https:' && (url.protocol !== 'http:' || message.url.protocol === 'https:')) {
		throw new KeelsonError('PERMISSION_DENIED', `${shown(message.url)} redirects to ${shown(url)}: refused, it is less safe`);
	}
	return {...message, url, headers: headersTo(url, message.url, message.headers)};
}

/** The headers of a request that goes to another address than was meant. */
export function headersTo(url: URL, meant: URL, headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
	const isSame = url.host === meant.host && (url.protocol === meant.protocol || url.protocol === 'https:');
	return isSame ? headers : Object.fromEntries(Object.entries(headers).filter(([name]) => HARMLESS_HEADERS.has(name.toLowerCase())));
}

/** Lets an answer's body go: a small one is read, so that the connection can be used again. */
export async function discard({body}: HttpResponse): Promise<void> {
	// What fails here is of no interest: the answer was understood.
	await body.dump({limit: 64 * 1024}).catch(() => undefined);
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

export function headerOf(response: Pick<HttpResponse, 'headers'>, name: string): string {
	const value = response.headers[name];
	return typeof value === 'string' ? value : Array.isArray(value) ? value.join(', ') : '';
}

/** Without query: it may hold a signature. */
export function shown(url: URL): string {
	return `${url.protocol}//${url.host}${url.pathname}`;
}
