import {untilAborted} from '../../lib/abort/until-aborted.ts';
import {RawConnection} from './raw-connection.ts';
import {isProtocolRefused, keyOf, type Way} from './way.ts';

/** Heads come here, and what comes with them: bytes are copied from it at once, so all connections share it. */
const SPARE_BYTES = 8 * 1024;
const IDLE_MS = 4000;
const IDLE_MAX = 64;
const ORIGINS_MAX = 256;

/** The other side speaks no HTTP/1.1. */
export class OnlyHttp2Error extends Error {}

/** Connections of a thread that are kept between answers: of one origin and one way of trusting it. */
export class RawConnections {
	readonly #spare = Buffer.alloc(SPARE_BYTES);
	/** The newest last. */
	readonly #idle = new Map<RawConnection, {readonly key: string; readonly timer: NodeJS.Timeout}>();
	/** Opened before anybody asks, and not taken yet. */
	readonly #opening = new Map<string, Promise<RawConnection | undefined>>();
	readonly #onlyHttp2 = new Set<string>();

	/** Something will be asked for soon: a connection is opened meanwhile, unless there is one. That it fails is told to whoever asks. */
	expect(way: Way): void {
		const key = keyOf(way);
		if (this.#opening.has(key) || [...this.#idle.values()].some(({key: own}) => own === key)) {
			return;
		}
		const opening = this.open(way).catch(() => undefined);
		this.#opening.set(key, opening);
		void opening.then(connection => {
			if (this.#opening.get(key) === opening) {
				this.#opening.delete(key);
				this.#keepOpened(connection, way);
			}
		});
	}

	/** One that stands already, if there is one: the other side may have closed it without being heard of yet. Rejects with the signal's reason. */
	async kept(way: Way, signal: AbortSignal): Promise<RawConnection | undefined> {
		const key = keyOf(way);
		for (const [connection, {key: own}] of [...this.#idle].toReversed()) {
			if (own === key) {
				this.#forget(connection);
				if (connection.isOpen) {
					return connection;
				}
			}
		}
		const opening = this.#opening.get(key);
		this.#opening.delete(key);
		return opening === undefined ? undefined : this.#awaited(opening, way, signal);
	}

	/** Rejects with OnlyHttp2Error, at once where it is known already. */
	async open(way: Way, signal?: AbortSignal): Promise<RawConnection> {
		const {url} = way;
		const key = keyOf(way);
		if (this.#onlyHttp2.has(key)) {
			throw new OnlyHttp2Error(url.host);
		}
		try {
			const connection = await RawConnection.open(way, this.#spare, signal);
			connection.onClose(() => this.#forget(connection));
			return connection;
		} catch (error) {
			if (!isProtocolRefused(error)) {
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

	async #awaited(opening: Promise<RawConnection | undefined>, way: Way, signal: AbortSignal): Promise<RawConnection | undefined> {
		try {
			return await untilAborted(opening, signal);
		} catch (error) {
			void opening.then(connection => this.#keepOpened(connection, way));
			throw error;
		}
	}

	#keepOpened(connection: RawConnection | undefined, way: Way): void {
		if (connection !== undefined) {
			this.keep(connection, way);
		}
	}

	#forget(connection: RawConnection): void {
		clearTimeout(this.#idle.get(connection)?.timer);
		this.#idle.delete(connection);
	}
}
