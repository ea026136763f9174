import {isIP, connect as connectPlain, type OnReadOpts, type Socket, type TcpNetConnectOpts} from 'node:net';
import type {ConnectionOptions} from 'node:tls';
import type {Trust} from './hosts.ts';

/** Whoever has the connection for now. */
export interface Taker {
	/** Where the next bytes go: at least one. Undefined: to a place of the connection's own. */
	place(): Uint8Array | undefined;
	/** So many have come, to the beginning of `bytes`, which are valid during the call unless they are the taker's own. False: no more until `resume`; some may come all the same. */
	took(count: number, bytes: Uint8Array): boolean;
	/** Nothing comes any more; with what the network said, where it said something. Told once. */
	ended(error: Error | undefined): void;
}

/** Where a connection leads. */
export interface Endpoint {
	readonly url: URL;
	/** By which the other side is asked for its certificate; empty: none, it is an address. */
	readonly serverName: string;
	readonly trust: Trust;
	readonly connectTimeoutMs: number;
}

const KEEP_ALIVE_MS = 60_000;

/** A connection whose bytes the kernel (or TLS) puts where they are wanted, with no buffer between. */
export class RawConnection {
	readonly #socket: Socket;
	#taker: Taker | undefined;
	#error: Error | undefined;

	/** Resolves once it stands. `spare` may be shared by all connections of a thread. Rejects with the network's own error, or the signal's reason. */
	static async open(endpoint: Endpoint, spare: Uint8Array, signal: AbortSignal): Promise<RawConnection> {
		const create = endpoint.url.protocol === 'https:' ? secureFrom(await import('node:tls'), endpoint) : plainFrom(endpoint);
		signal.throwIfAborted();
		const connection = new RawConnection(create, spare);
		const socket = connection.#socket;
		const standing = Promise.withResolvers<void>();
		const abort = (): void => connection.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
		const timer = setTimeout(() => connection.destroy(new Error(`connect timeout: no connection to ${endpoint.url.host} within ${endpoint.connectTimeoutMs} ms`)), endpoint.connectTimeoutMs);
		signal.addEventListener('abort', abort, {once: true});
		socket.once(endpoint.url.protocol === 'https:' ? 'secureConnect' : 'connect', () => standing.resolve());
		socket.once('close', () => standing.reject(connection.#error ?? new Error(`${endpoint.url.host} closed the connection`)));
		try {
			await standing.promise;
			return connection;
		} finally {
			clearTimeout(timer);
			signal.removeEventListener('abort', abort);
		}
	}

	private constructor(create: (onread: OnReadOpts) => Socket, spare: Uint8Array) {
		const socket = create({buffer: () => this.#taker?.place() ?? spare, callback: (count, bytes) => this.#took(count, bytes)});
		this.#socket = socket;
		socket.on('error', error => {
			this.#error ??= error;
		});
		socket.on('end', () => this.#ended());
		socket.on('close', () => this.#ended());
	}

	get isOpen(): boolean {
		return !this.#socket.destroyed && this.#socket.readable && this.#socket.writable;
	}

	/** From now on bytes are his; while they are nobody's none may come. The places that he told may still be written to until the call in which this is said is over. */
	use(taker: Taker | undefined): void {
		this.#taker = taker;
		if (taker !== undefined && !this.isOpen) {
			queueMicrotask(() => this.#ended());
		}
	}

	write(bytes: Uint8Array, done: (error?: Error | null) => void): void {
		this.#socket.write(bytes, done);
	}

	/** After `took` gave false. */
	resume(): void {
		this.#socket.resume();
	}

	destroy(error?: Error): void {
		this.#error ??= error;
		this.#socket.destroy();
	}

	/** Once, whichever way it goes. */
	onClose(listener: () => void): void {
		this.#socket.once('close', listener);
	}

	#took(count: number, bytes: Uint8Array): boolean {
		if (this.#taker === undefined) {
			this.destroy(new Error('bytes came that nobody has asked for'));
			return false;
		}
		return this.#taker.took(count, bytes);
	}

	#ended(): void {
		const taker = this.#taker;
		this.#taker = undefined;
		taker?.ended(this.#error);
	}
}

function plainFrom({url}: Endpoint): (onread: OnReadOpts) => Socket {
	return onread => connectPlain({...addressOf(url, 80), onread});
}

function secureFrom({connect}: {connect(options: ConnectionOptions): Socket}, {url, serverName, trust: {skipVerify, ca, client}}: Endpoint): (onread: OnReadOpts) => Socket {
	return onread => {
		const options: ConnectionOptions & {readonly onread: OnReadOpts} = {
			...addressOf(url, 443), onread,
			ALPNProtocols: ['http/1.1'],
			rejectUnauthorized: !skipVerify,
			...(serverName === '' ? {} : {servername: serverName}),
			...(ca === undefined ? {} : {ca: [...ca]}),
			...(client === undefined ? {} : {cert: client.map(({certificate}) => certificate), key: client.map(({key}) => key)}),
		};
		return connect(options);
	};
}

function addressOf(url: URL, port: number): TcpNetConnectOpts {
	return {host: bare(url.hostname), port: url.port === '' ? port : Number(url.port), noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS};
}

/** The name that a certificate must have: of what is asked for (the `host` header, where one is given), unless it is an address. */
export function serverNameOf(url: URL, host: string | undefined): string {
	const name = host === undefined || !URL.canParse(`https://${host}`) ? url.hostname : new URL(`https://${host}`).hostname;
	return isIP(bare(name)) === 0 ? name : '';
}

function bare(hostname: string): string {
	return hostname.replace(/^\[|\]$/g, '');
}
