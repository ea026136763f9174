import type * as Undici from 'undici';
import type {Trust} from './hosts.ts';
import {proxyFor} from './proxy.ts';

export const CONNECT_TIMEOUT_MS = 30_000;
export const HEADER_BYTES_MAX = 64 * 1024;
/** Configurations change while a daemon runs: pools of old ones go when there are too many. */
const AGENTS_MAX = 64;

/** Pools of connections (HTTP/1.1 kept alive, HTTP/2 where the server offers it): one for each way of trusting and reaching a host. */
export class Agents implements AsyncDisposable {
	readonly #environment: Readonly<Record<string, string | undefined>>;
	readonly #agents = new Map<string, Undici.Dispatcher>();

	constructor(environment: Readonly<Record<string, string | undefined>>) {
		this.#environment = environment;
	}

	async get(url: URL, trust: Trust): Promise<Undici.Dispatcher> {
		// Not at the daemon's start, of which it would be a good part.
		const undici = await import('undici');
		const proxy = proxyFor(url, this.#environment);
		const key = JSON.stringify([trust, proxy?.href]);
		const known = this.#agents.get(key);
		if (known !== undefined) {
			return known;
		}
		const [oldest] = this.#agents;
		if (oldest !== undefined && this.#agents.size >= AGENTS_MAX) {
			this.#agents.delete(oldest[0]);
			// What is under way on it ends first.
			oldest[1].close().catch(() => undefined);
		}
		const agent = agentOf(undici, trust, proxy);
		this.#agents.set(key, agent);
		return agent;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all([...this.#agents.values()].map(async agent => agent.destroy()));
		this.#agents.clear();
	}
}

function agentOf({Agent, ProxyAgent}: typeof Undici, {skipVerify, ca, client, dialTimeoutMs}: Trust, proxy: URL | undefined): Undici.Dispatcher {
	const tls = {
		timeout: dialTimeoutMs ?? CONNECT_TIMEOUT_MS,
		rejectUnauthorized: !skipVerify,
		allowH2: true,
		...(ca === undefined ? {} : {ca: [...ca]}),
		...(client === undefined ? {} : {cert: client.map(({certificate}) => certificate), key: client.map(({key}) => key)}),
	};
	const options = {maxHeaderSize: HEADER_BYTES_MAX, allowH2: true};
	return proxy === undefined ? new Agent({...options, connect: tls}) : new ProxyAgent({...options, uri: proxy.href, requestTls: tls, connectTimeout: tls.timeout});
}
