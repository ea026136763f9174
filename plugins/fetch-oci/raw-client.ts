import type {Trust} from './hosts.ts';
import type {RawConnection} from './raw-connection.ts';
import {RawConnections} from './raw-connections.ts';
import {RawExchange, type RawRequest, type Sink} from './raw-exchange.ts';
import {wayTo, type Way} from './way.ts';

/** GET over HTTP/1.1 with no proxy between, in the thread for large answers. */
export class RawClient {
	readonly #connections = new RawConnections();

	/** Something will be asked for soon: a connection is opened meanwhile. */
	expect(url: URL, trust: Trust, headers: RawRequest['headers']): void {
		this.#connections.expect(wayTo(url, trust, headers));
	}

	/**
	 * Resolves once the answer is in the sink's pieces, all of them sent. Rejects with OnlyHttp2Error before anything came, with the network's own error after what
	 * came was sent, and with the signal's reason.
	 */
	async get(request: RawRequest, trust: Trust, sink: Sink, signal: AbortSignal): Promise<void> {
		const way = wayTo(request.url, trust, request.headers);
		const kept = await this.#connections.kept(way, signal);
		if (kept !== undefined && await this.#ask(kept, {request, way, sink, signal, isKept: true})) {
			return;
		}
		await this.#ask(await this.#connections.open(way, signal), {request, way, sink, signal, isKept: false});
	}

	/** False: it was kept, and closed before it could answer. Nothing is lost: whoever is asked for bytes may be asked twice (RFC 9112, section 9.3.1). */
	async #ask(connection: RawConnection, {request, way, sink, signal, isKept}: {request: RawRequest; way: Way; sink: Sink; signal: AbortSignal; isKept: boolean}): Promise<boolean> {
		let isReusable = false;
		let exchange: RawExchange | undefined;
		try {
			exchange = new RawExchange(connection, request, sink);
			isReusable = await exchange.over(signal);
			return true;
		} catch (error) {
			if (isKept && exchange?.isLost === true) {
				return false;
			}
			throw error;
		} finally {
			if (isReusable) {
				this.#connections.keep(connection, way);
			} else {
				connection.destroy();
			}
		}
	}
}
