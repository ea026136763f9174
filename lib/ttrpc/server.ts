import {chmod} from 'node:fs/promises';
import {createServer, type Server} from 'node:net';
import type {Duplex} from 'node:stream';
import {KeelsonError} from '../../kernel/errors.ts';
import {ServerConnection, type ServerLimits} from './server-connection.ts';
import type {TtrpcService} from './service.ts';

export interface ServerOptions extends Partial<ServerLimits> {
	readonly services: readonly TtrpcService[];
	/** Connections at a time; the next are closed at once. Default 1024. */
	readonly connectionsMax?: number;
}

/** Serves services over any number of sockets and connections. */
export class TtrpcServer implements AsyncDisposable {
	readonly #services: ReadonlyMap<string, TtrpcService>;
	readonly #limits: ServerLimits;
	readonly #connectionsMax: number;
	readonly #listeners = new Set<Server>();
	readonly #connections = new Set<ServerConnection>();
	#isClosed = false;

	/** Throws INVALID_ARGUMENT when two services have one name. */
	constructor({services, callsMax = 1024, connectionsMax = 1024, framesPerSecond}: ServerOptions) {
		const names = services.map(({name}) => name);
		const twice = names.find((name, index) => names.indexOf(name) !== index);
		if (twice !== undefined) {
			throw new KeelsonError('INVALID_ARGUMENT', `service ${twice} is given twice`);
		}
		this.#services = new Map(services.map(service => [service.name, service]));
		this.#limits = {callsMax, framesPerSecond};
		this.#connectionsMax = connectionsMax;
	}

	/**
	 * Listens on a unix socket with mode 0600, which `close` removes. Rejects with ALREADY_EXISTS when a file is there: whether it is
	 * a stale one is the caller's to know.
	 */
	async listen(path: string): Promise<void> {
		await this.#listen({path}, path);
		await chmod(path, 0o600);
	}

	/** Serves a socket that another process made to listen; only its descriptor here is closed in the end. */
	async listenOn(fd: number): Promise<void> {
		await this.#listen({fd}, `descriptor ${fd}`);
	}

	/** Serves one connection, and owns it from now on. Resolves when it is gone. */
	async serve(connection: Duplex): Promise<void> {
		if (this.#isClosed || this.#connections.size >= this.#connectionsMax) {
			connection.destroy();
			return;
		}
		const served = new ServerConnection(connection, this.#services, this.#limits);
		this.#connections.add(served);
		await served.done;
		this.#connections.delete(served);
	}

	/** Takes no more calls, waits until those at work are answered or the signal is aborted, then closes all. A second time is harmless. */
	async close(signal?: AbortSignal): Promise<void> {
		this.#isClosed = true;
		const listenersClosed = [...this.#listeners].map(async listener => new Promise<void>(resolve => {
			listener.close(() => resolve());
		}));
		this.#listeners.clear();
		const connections = [...this.#connections];
		connections.forEach(connection => connection.drain());
		const abort = (): void => connections.forEach(connection => connection.close());
		signal?.addEventListener('abort', abort, {once: true});
		if (signal?.aborted === true) {
			abort();
		}
		try {
			await Promise.all([...listenersClosed, ...connections.map(async ({done}) => done)]);
		} finally {
			signal?.removeEventListener('abort', abort);
		}
	}

	/** Closes at once; handlers at work are told by their signal. */
	async [Symbol.asyncDispose](): Promise<void> {
		await this.close(AbortSignal.abort());
	}

	async #listen(where: {readonly path: string} | {readonly fd: number}, name: string): Promise<void> {
		if (this.#isClosed) {
			throw new KeelsonError('FAILED_PRECONDITION', 'ttrpc: the server is closed');
		}
		const listener = createServer(socket => void this.serve(socket));
		const listening = Promise.withResolvers<void>();
		listener.once('error', listening.reject);
		listener.listen(where, listening.resolve);
		try {
			await listening.promise;
		} catch (error) {
			const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
			throw new KeelsonError(inUse ? 'ALREADY_EXISTS' : 'INTERNAL', `ttrpc: listen on ${name}`, {cause: error});
		}
		listener.off('error', listening.reject);
		// A failed accept concerns one client; the next may succeed.
		listener.on('error', () => undefined);
		this.#listeners.add(listener);
	}
}
