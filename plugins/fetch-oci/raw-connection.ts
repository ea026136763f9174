import {connect as connectPlain, type OnReadOpts, type Socket} from 'node:net';
import type {ConnectionOptions} from 'node:tls';
import {established} from './established.ts';
import {addressOf, tlsOptionsOf, type Way} from './way.ts';

/** Whoever has the connection for now. */
export interface Taker {
	/** Where the next bytes go: at least one. Undefined: to a place of the connection's own. */
	place(): Uint8Array | undefined;
	/** So many have come, to the beginning of `bytes`, which are valid during the call unless they are the taker's own. False: no more until `resume`; some may come all the same. */
	took(count: number, bytes: Uint8Array): boolean;
	/** Nothing comes any more; with what the network said, where it said something. Told once. */
	ended(error: Error | undefined): void;
}

/** A connection whose bytes the kernel (or TLS) puts where they are wanted, with no buffer between. */
export class RawConnection {
	readonly #socket: Socket;
	#taker: Taker | undefined;
	#error: Error | undefined;

	/** Resolves once it stands. `spare` may be shared by all connections of a thread. Rejects with the network's own error, or the signal's reason. */
	static async open(way: Way, spare: Uint8Array, signal?: AbortSignal): Promise<RawConnection> {
		const create = way.url.protocol === 'https:' ? secureFrom(await import('node:tls'), way) : plainFrom(way);
		signal?.throwIfAborted();
		const connection = new RawConnection(create, spare);
		await established(connection.#socket, way, signal);
		return connection;
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

function plainFrom(way: Way): (onread: OnReadOpts) => Socket {
	return onread => connectPlain({...addressOf(way), onread});
}

function secureFrom({connect}: {connect(options: ConnectionOptions): Socket}, way: Way): (onread: OnReadOpts) => Socket {
	return onread => {
		const options: ConnectionOptions & {readonly onread: OnReadOpts} = {...addressOf(way), ...tlsOptionsOf(way), onread, ALPNProtocols: ['http/1.1']};
		return connect(options);
	};
}
