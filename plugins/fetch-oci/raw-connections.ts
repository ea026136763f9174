import {CONNECT_TIMEOUT_MS} from './agents.ts';
import {RawConnection, serverNameOf} from './raw-connection.ts';
import type {Trust} from './hosts.ts';

/** Heads come here, and what comes with them: bytes are copied from it at once, so all connections share it. */
const SPARE_BYTES = 8 * 1024;
const IDLE_MS = 4000;
const IDLE_MAX = 64;
const ORIGINS_MAX = 256;

/** What is asked for, and who answers. */
export interface Way {
	readonly url: URL;
	readonly trust: Trust;
	/** The header, where the request has one. */
	readonly host: string | undefined;
}

/** The other side speaks no HTTP/1.1. */
export class OnlyHttp2Error extends Error {}

/** Connections of a thread that are kept between answers: of one origin and one way of trusting it. */
export class RawConnections {
	readonly #spare = Buffer.alloc(SPARE_BYTES);
	/** The newest last. */
	readonly #idle = new Map<RawConnection, {readonly key: string; readonly timer: NodeJS.Timeout}>();
	readonly #onlyHttp2 = new Set<string>();

	/** One that was used before, if there is one: the other side may have closed it without being heard of yet. */
	kept(way: Way): RawConnection | undefined {
		const key = keyOf(way);
		for (const [connection, {key: own}] of [...this.#idle].toReversed()) {
			if (own === key) {
				this.#forget(connection);
				if (connection.isOpen) {
					return connection;
				}
			}
		}
		return undefined;
	}

	/** Rejects with OnlyHttp2Error, at once where it is known already. */
	async open(way: Way, signal: AbortSignal): Promise<RawConnection> {
		const {url, trust, host} = way;
		const key = keyOf(way);
		if (this.#onlyHttp2.has(key)) {
			throw new OnlyHttp2Error(url.host);
		}
		try {
			const connection = await RawConnection.open({url, trust, serverName: serverNameOf(url, host), connectTimeoutMs: trust.dialTimeoutMs ?? CONNECT_TIMEOUT_MS}, this.#spare, signal);
			connection.onClose(() => this.#forget(connection));
			return connection;
		} catch (error) {
			// ALPN's answer (RFC 7301, section 3.2).
			if (!(error instanceof Error && 'code' in error && String(error.code).endsWith('ALERT_NO_APPLICATION_PROTOCOL'))) {
				throw error;
			}
			if (this.#onlyHttp2.size >= ORIGINS_MAX) {
				this.#onlyHttp2.clear();
			}
			this.#onlyHttp2.add(key);
			throw new OnlyHttp2Error(url.host, {cause: error});
		}
	}

	/** Takes back one whose answer is over, for the next request, unless bytes come that belong to none: they are there in this turn of the event loop, or they never were. */
	keep(connection: RawConnection, way: Way): void {
		connection.use(undefined);
		setImmediate(() => {
			const [oldest] = this.#idle.keys();
			if (oldest !== undefined && this.#idle.size >= IDLE_MAX) {
				this.#forget(oldest);
				oldest.destroy();
			}
			if (connection.isOpen) {
				const timer = setTimeout(() => connection.destroy(), IDLE_MS);
				this.#idle.set(connection, {key: keyOf(way), timer});
			}
		});
	}

	#forget(connection: RawConnection): void {
		clearTimeout(this.#idle.get(connection)?.timer);
		this.#idle.delete(connection);
	}
}

function keyOf({url, trust, host}: Way): string {
	return JSON.stringify([url.protocol, url.host, serverNameOf(url, host), trust]);
}
